#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/adapter_rows.h"
#include "peft/adapter/layer.h"
#include "peft/methods/lora/lora_adapter.h"

namespace peft::lora {

/// LoRA at one site where each row of a batch has its own adapter. The base's product is made once,
/// and each row's update is added while its part of the result is in the cache; few rows get theirs
/// all at once, from the factors of all adapters side by side.
///
/// Legend: B rows of the batch, R the ranks of all adapters together.
/// Source: LoraLayer._mixed_batch_forward in peft/tuners/lora/layer.py.
class MixedRows {
 public:
  /// `adapters`: one for each of `rows.adapters`, null where the site lacks it.
  MixedRows(std::string parameter_name, const AdapterRows& rows,
            std::vector<const LoraAdapter*> adapters);

  /// The same adapters for other rows: what was made of their factors is kept.
  std::shared_ptr<const MixedRows> with_rows(const AdapterRows& rows) const;
  bool has_adapters(const std::vector<const LoraAdapter*>& adapters) const {
    return adapters == adapters_;
  }

  /// x [..., I], weight [O, I] -> [..., O]
  at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                    const std::optional<at::Tensor>& bias) const;
  /// y with the updates that `turned` adapters make of x: y + s x B A, for a weight [O, I] that is
  /// multiplied as it lies, and for an embedding.
  at::Tensor add_turned(const at::Tensor& y, const at::Tensor& x) const;
  /// y: the base's rows.  -> [*indices, D]
  at::Tensor embedding(const at::Tensor& y, const at::Tensor& weight, const EmbeddingCall& call,
                       bool is_lookup) const;
  at::Tensor convolution(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias, const ConvolutionCall& call) const;

 private:
  /// The factors of all adapters in the dtype of the products.
  struct SideBySide {
    at::Tensor a, b;  // [R, I], [O, R]
  };
  /// What rows of all sizes share; made once.
  struct Shared {
    std::mutex mutex;
    at::ScalarType dtype = at::kFloat;
    SideBySide factors = {};  // undefined: not made yet
  };
  bool is_plain(const at::Tensor& x, const at::Tensor& weight) const;
  SideBySide side_by_side(at::ScalarType dtype) const;
  at::Tensor mask(const at::TensorOptions& options) const;
  at::Tensor all_at_once(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias, at::ScalarType dtype) const;
  at::Tensor one_by_one(const at::Tensor& x, const at::Tensor& weight,
                        const std::optional<at::Tensor>& bias, at::ScalarType dtype) const;
  at::Tensor with_operators(const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) const;
  /// Calls `update(adapter, group)` for every group that has an adapter here.
  template <typename Update>
  void each_group(const Update& update) const;

  std::string parameter_name_;
  AdapterRows rows_;
  RowGroups groups_;
  std::vector<const LoraAdapter*> adapters_;
  std::shared_ptr<Shared> shared_;
  mutable std::mutex mask_mutex_;
  mutable at::Tensor mask_ = {};  // undefined: not made yet
};

}  // namespace peft::lora
