#pragma once

#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>

#include "peft/adapter/prompt_encoder.h"
#include "peft/methods/prefix_tuning/config.h"

namespace peft {

/// Keys and values of every layer for N virtual tokens: parameters themselves, or what a network of
/// two layers makes of N embeddings. Legend: L layers, D the width of a layer's keys.
///
/// Source: PrefixEncoder in peft/tuners/prefix_tuning/model.py.
class PrefixEncoder final : public BasePromptEncoder {
 public:
  explicit PrefixEncoder(const PrefixTuningConfig& config);

  /// -> [1, N, 2 * L * D]
  at::Tensor forward(const at::Tensor& task_ids) override;
  /// None can be had where a network makes the prefix, which does not follow from it.
  std::vector<PromptPlace> places() override;

 private:
  torch::nn::Embedding embedding_{nullptr};
  torch::nn::Sequential transform_{nullptr};  // empty: the embedding is the prefix
};

}  // namespace peft
