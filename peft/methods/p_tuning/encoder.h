#pragma once

#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/rnn.h>

#include "peft/adapter/prompt_encoder.h"
#include "peft/methods/p_tuning/config.h"

namespace peft {

/// Embeddings of N virtual tokens that a small network makes of N others. Legend: D the model's
/// width.
///
/// Source: PromptEncoder in peft/tuners/p_tuning/model.py.
class PromptEncoder final : public BasePromptEncoder {
 public:
  /// Warns where the config has a number of layers that an MLP does not heed.
  explicit PromptEncoder(const PromptEncoderConfig& config);

  /// -> [1, N, D]
  at::Tensor forward(const at::Tensor& task_ids) override;
  /// None can be had while it learns: a file holds what the network makes, and nothing that it
  /// could be made of.
  std::vector<PromptPlace> places() override;

 private:
  torch::nn::Embedding embedding_{nullptr};
  torch::nn::LSTM lstm_head_{nullptr};
  torch::nn::Sequential mlp_head_{nullptr};  // empty: the embedding is the prompt of a file
};

}  // namespace peft
