#pragma once

#include <torch/nn/modules/embedding.h>

#include "peft/adapter/prompt_encoder.h"
#include "peft/methods/multitask_prompt_tuning/config.h"

namespace peft {

/// A prompt that tasks have in common, times a matrix of low rank for each of them. Legend: N
/// virtual tokens, D the model's width, K tasks, R ranks.
///
/// Source: MultitaskPromptEmbedding in peft/tuners/multitask_prompt_tuning/model.py.
class MultitaskPromptEmbedding final : public BasePromptEncoder {
 public:
  /// Throws: ConfigError (no such source task), MismatchError (source tasks of other shapes).
  MultitaskPromptEmbedding(const MultitaskPromptTuningConfig& config, const PromptFacts& facts);

  /// task_ids [B] -> [B, N, D]
  at::Tensor forward(const at::Tensor& task_ids) override;
  /// What tasks have in common.
  at::Tensor prompt_embeddings() override { return embedding_->weight.detach(); }
  StateDict state() override;
  std::vector<PromptPlace> places() override;

 private:
  void begin_with(const StateDict& source, const MultitaskPromptTuningConfig& config);
  void fill(const at::Tensor& parameter, const at::Tensor& source, const std::string& name) const;

  torch::nn::Embedding embedding_{nullptr};
  at::Tensor prefix_task_cols_;  // [K, N, R]
  at::Tensor prefix_task_rows_;  // [K, R, D]
};

}  // namespace peft
