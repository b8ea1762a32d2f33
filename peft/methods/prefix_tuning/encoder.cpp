#include "peft/methods/prefix_tuning/encoder.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>

namespace peft {

PrefixEncoder::PrefixEncoder(const PrefixTuningConfig& config) {
  const at::NoGradGuard no_grad;
  const int64_t tokens = *config.num_virtual_tokens, width = *config.token_dim;
  const int64_t all = *config.num_layers * 2 * width;
  const bool zero = config.init_weights == "zero";
  if (!config.prefix_projection || config.inference_mode) {
    embedding_ = register_module("embedding", torch::nn::Embedding(tokens, all));
    if (zero) embedding_->weight.zero_();
    return;
  }
  embedding_ = register_module("embedding", torch::nn::Embedding(tokens, width));
  const int64_t inner = *config.encoder_hidden_size;
  const torch::nn::Linear first(width, inner), last(inner, all);
  transform_ = register_module("transform", torch::nn::Sequential(first, torch::nn::Tanh(), last));
  if (!zero) return;
  last->weight.zero_();
  last->bias.zero_();
}

at::Tensor PrefixEncoder::forward(const at::Tensor&) {
  const at::Tensor rows = embedding_->weight.unsqueeze(0);
  return transform_ ? transform_->forward(rows) : rows;
}

std::vector<PromptPlace> PrefixEncoder::places() {
  PromptPlace place{.name = "prompt_embeddings", .parameters = {embedding_->weight}};
  if (transform_) {
    place.obstacle =
        "cannot load flattened prompt embeddings when `prefix_projection=True`: expected a prefix "
        "that is learned directly, got one that a network makes. Load the file under a new name.";
  }
  return {place};
}

}  // namespace peft
