#pragma once

#include <torch/nn/modules/embedding.h>

#include "peft/adapter/prompt_encoder.h"
#include "peft/methods/prompt_tuning/config.h"

namespace peft {

/// The prompt itself, as rows that are put before the embeddings of the tokens. Legend: N virtual
/// tokens, D the model's width.
///
/// Source: PromptEmbedding in peft/tuners/prompt_tuning/model.py.
class PromptEmbedding final : public BasePromptEncoder {
 public:
  /// The values come from `facts` as the config says, unless it is to be filled from a file.
  PromptEmbedding(const PromptTuningConfig& config, const PromptFacts& facts);

  /// -> [1, N, D]
  at::Tensor forward(const at::Tensor& task_ids) override;
  std::vector<PromptPlace> places() override;

 private:
  torch::nn::Embedding embedding_{nullptr};
};

}  // namespace peft
