#include "peft/methods/cartridge/encoder.h"

#include <ATen/ATen.h>

namespace peft {

CartridgeEncoder::CartridgeEncoder(const CartridgeConfig& config) {
  const int64_t width = *config.num_layers * 2 * *config.token_dim;
  const int64_t frozen = config.num_frozen_tokens;
  if (frozen > 0) {
    frozen_embedding_ =
        register_parameter("frozen_embedding", at::empty({frozen, width}).normal_(), false);
  }
  trainable_embedding_ = register_parameter(
      "trainable_embedding", at::empty({*config.num_virtual_tokens - frozen, width}).normal_(),
      !config.inference_mode);
}

at::Tensor CartridgeEncoder::forward(const at::Tensor&) {
  if (!frozen_embedding_.defined()) return trainable_embedding_.unsqueeze(0);
  return at::cat({frozen_embedding_, trainable_embedding_}).unsqueeze(0);
}

std::vector<PromptPlace> CartridgeEncoder::places() {
  PromptPlace place{.name = "prompt_embeddings", .parameters = {}};
  if (frozen_embedding_.defined()) place.parameters.push_back(frozen_embedding_);
  place.parameters.push_back(trainable_embedding_);
  return {place};
}

}  // namespace peft
