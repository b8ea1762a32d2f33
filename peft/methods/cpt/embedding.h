#pragma once

#include <torch/nn/modules/embedding.h>

#include "peft/adapter/prompt_encoder.h"
#include "peft/methods/cpt/config.h"

namespace peft {

/// The embeddings of a context's tokens, each moved by a change that learns and stays short. The
/// outputs in the context do not move; they are labels. Legend: N tokens, D the model's width.
///
/// Source: CPTEmbedding in peft/tuners/cpt/model.py.
class CPTEmbedding final : public BasePromptEncoder {
 public:
  /// Throws: ConfigError for a token outside of the vocabulary.
  CPTEmbedding(const CPTConfig& config, const PromptFacts& facts);

  /// Shortens the changes to what is allowed, and adds them.  -> [1, N, D]
  at::Tensor forward(const at::Tensor& task_ids) override;
  /// None can be had once the changes have learned: a file holds the sums alone.
  std::vector<PromptPlace> places() override;
  const PromptLabels* labels() const override { return &labels_; }

 private:
  at::Tensor longest_changes() const;

  CPTConfig config_;
  PromptLabels labels_;
  torch::nn::Embedding embedding_{nullptr}, delta_embedding_{nullptr};
};

}  // namespace peft
