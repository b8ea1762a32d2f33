#pragma once

#include <filesystem>
#include <vector>

#include "peft/generate/generate.h"
#include "peft/models/common/language_model.h"
#include "peft/peft_model.h"
#include "peft/prompt_learning.h"

namespace peft {

/// What a call takes beside the input of the model. Legend: B rows, T tokens.
struct CausalLMCall {
  std::vector<std::string> adapter_names = {};  // of each row, where rows differ
  at::Tensor task_ids = {};                     // [B] int64, for multitask prompt tuning
  at::Tensor input_type_mask = {};              // [B, T] int64, for CPT; undefined: labels all
};

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

  /// Logits of every position, those of a prompt of embeddings before the others. `adapter_names`:
  /// of each row, where rows differ.  -> [B, T, V] or [B, N + T, V].
  at::Tensor forward(const LanguageModelInput& input,
                     const std::vector<std::string>& adapter_names = {});
  at::Tensor forward(const LanguageModelInput& input, const CausalLMCall& call);

  /// Mean of the cross-entropy over the labels that are not -100, as Python's `loss`; CPT weighs
  /// them.  labels [B, T] -> scalar float32
  at::Tensor loss(const LanguageModelInput& input, const at::Tensor& labels,
                  const CausalLMCall& call = {});

  /// The sum over the labels instead; for CPT the mean times the number of labels of the tokens.
  at::Tensor loss_sum(const LanguageModelInput& input, const at::Tensor& labels,
                      const CausalLMCall& call = {});

  /// What the model reads in one step of a generation: in the first one, where the cache is empty
  /// or there is none, with the prompt; of a longer row only the last token once the cache has it.
  /// Source: PeftModelForCausalLM.prepare_inputs_for_generation in peft/peft_model.py.
  PreparedInputs prepare_inputs_for_generation(const LanguageModelInput& input,
                                               const at::Tensor& task_ids = {}) const;

  /// Continues prompts: see peft::generate. `adapter_names`: of each prompt, where they differ.
  std::vector<Continuation> generate(const std::vector<std::vector<int64_t>>& prompts,
                                     const GenerateOptions& options = {},
                                     const std::vector<std::string>& adapter_names = {});
  std::vector<Continuation> generate(const std::vector<std::vector<int64_t>>& prompts,
                                     const GenerateOptions& options, const CausalLMCall& call);

 private:
  /// Labels with those of the prompt before them, and how much each counts.
  struct Weighed {
    at::Tensor labels = {};
    at::Tensor weights = {};  // undefined: all the same
  };
  Weighed labels_with_prompt(const at::Tensor& labels, const CausalLMCall& call) const;
  /// The loss of each label times its weight.
  at::Tensor weighed_sum(const LanguageModelInput& input, const Weighed& weighed);
  /// The loss, and the number of labels that it is made of.
  std::pair<at::Tensor, int64_t> sum_and_count(const LanguageModelInput& input,
                                               const at::Tensor& labels, const CausalLMCall& call);
};

}  // namespace peft
