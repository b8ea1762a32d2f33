#pragma once

#include <filesystem>
#include <vector>

#include "peft/generate/generate.h"
#include "peft/models/common/language_model.h"
#include "peft/peft_model.h"

namespace peft {

/// A language model that predicts the next token, with adapters.
///
/// Source: PeftModelForCausalLM in peft/peft_model.py.
class PeftModelForCausalLM : public PeftModelFor<LanguageModel> {
 public:
  using PeftModelFor<LanguageModel>::PeftModelFor;

  static PeftModelForCausalLM from_pretrained(LanguageModel model,
                                              const std::filesystem::path& folder,
                                              const FromPretrainedOptions& options = {}) {
    return PeftModelForCausalLM(std::move(model), folder, options);
  }

  /// Logits of every position. `adapter_names`: of each row, where rows differ.  -> [B, T, V].
  at::Tensor forward(const LanguageModelInput& input,
                     const std::vector<std::string>& adapter_names = {});

  /// Sum of the cross-entropy over the labels that are not -100.  labels [B, T] -> scalar float32
  at::Tensor loss_sum(const LanguageModelInput& input, const at::Tensor& labels);

  /// Continues prompts: see peft::generate. `adapter_names`: of each prompt, where they differ.
  std::vector<Continuation> generate(const std::vector<std::vector<int64_t>>& prompts,
                                     const GenerateOptions& options = {},
                                     const std::vector<std::string>& adapter_names = {});
};

}  // namespace peft
