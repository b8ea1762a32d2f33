#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <utility>

namespace peft {

/// What an attention layer has at hand when something is added to its output. Legend: B rows, T
/// tokens, P other inputs, H query heads, K key/value heads, D their width, C the model's width.
struct AttentionState {
  at::Tensor query = {};  // [B, H, T, D], with positions
  /// Keys and values of other inputs, without positions.  [1, P, C] -> [1, K, P, D] each
  std::function<std::pair<at::Tensor, at::Tensor>(const at::Tensor& inputs)> keys_and_values = {};
  /// The layer's last product.  [B, T, H * D] -> [B, T, C]
  std::function<at::Tensor(const at::Tensor& heads)> project = {};
};

/// Something that adds to what an attention layer computes.
class AttentionAddition {
 public:
  virtual ~AttentionAddition() = default;
  /// -> [B, T, C]
  virtual at::Tensor add(const AttentionState& state) const = 0;
};

/// An attention layer whose output something may be added to: a child of its class, beside
/// torch::nn::Module, adds what addition() makes of its state.
class TakesAttentionAddition {
 public:
  virtual ~TakesAttentionAddition() = default;
  /// Null: nothing is added.
  void set_addition(std::shared_ptr<const AttentionAddition> addition) {
    addition_ = std::move(addition);
  }
  const AttentionAddition* addition() const { return addition_.get(); }

 private:
  std::shared_ptr<const AttentionAddition> addition_;
};

}  // namespace peft
