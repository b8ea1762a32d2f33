#pragma once

#include "peft/adapter/prompt_encoder.h"
#include "peft/methods/cartridge/config.h"

namespace peft {

/// Keys and values of every layer for N virtual tokens, of which the first F do not learn. Legend:
/// L layers, D the width of a layer's keys.
///
/// Source: CartridgeEncoder in peft/tuners/cartridge/model.py.
class CartridgeEncoder final : public BasePromptEncoder {
 public:
  explicit CartridgeEncoder(const CartridgeConfig& config);

  /// -> [1, N, 2 * L * D]
  at::Tensor forward(const at::Tensor& task_ids) override;
  std::vector<PromptPlace> places() override;

 private:
  at::Tensor frozen_embedding_ = {};  // [F, 2 * L * D]; undefined where F is 0
  at::Tensor trainable_embedding_;    // [N - F, 2 * L * D]
};

}  // namespace peft
