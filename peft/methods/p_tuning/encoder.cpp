#include "peft/methods/p_tuning/encoder.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>

#include "peft/base/warnings.h"

namespace peft {

namespace nn = torch::nn;

PromptEncoder::PromptEncoder(const PromptEncoderConfig& config) {
  const int64_t rows = *config.num_virtual_tokens * *config.num_transformer_submodules;
  const int64_t width = *config.token_dim, inner = *config.encoder_hidden_size;
  embedding_ = register_module("embedding", nn::Embedding(rows, width));
  if (config.inference_mode) return;
  if (config.encoder_reparameterization_type == "LSTM") {
    lstm_head_ = register_module("lstm_head", nn::LSTM(nn::LSTMOptions(width, inner)
                                                           .num_layers(config.encoder_num_layers)
                                                           .dropout(config.encoder_dropout)
                                                           .bidirectional(true)
                                                           .batch_first(true)));
    const nn::Linear first(2 * inner, 2 * inner), last(2 * inner, width);
    mlp_head_ = nn::Sequential(first, nn::ReLU(), last);
  } else {
    if (config.encoder_num_layers != PromptEncoderConfig().encoder_num_layers) {
      warn("for MLP, the argument `encoder_num_layers` is ignored. Exactly 2 MLP layers are used.");
    }
    const nn::Linear first(width, inner), second(inner, inner), last(inner, width);
    mlp_head_ = nn::Sequential(first, nn::ReLU(), second, nn::ReLU(), last);
  }
  register_module("mlp_head", mlp_head_);
}

at::Tensor PromptEncoder::forward(const at::Tensor&) {
  const at::Tensor rows = embedding_->weight.unsqueeze(0);
  if (!mlp_head_) return rows;
  return mlp_head_->forward(lstm_head_ ? std::get<0>(lstm_head_->forward(rows)) : rows);
}

std::vector<PromptPlace> PromptEncoder::places() {
  PromptPlace place{.name = "prompt_embeddings", .parameters = {embedding_->weight}};
  if (mlp_head_) {
    place.obstacle =
        "a file cannot fill an encoder that learns: expected a prompt that was loaded, got a "
        "network, and the file holds what it makes. Load the file under a new name.";
  }
  return {place};
}

}  // namespace peft
