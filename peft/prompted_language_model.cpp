#include "peft/prompted_language_model.h"

#include <ATen/ATen.h>

namespace peft {

PromptedLanguageModelImpl::PromptedLanguageModelImpl(std::shared_ptr<Tuner> tuner,
                                                     at::Tensor task_ids)
    : tuner_(std::move(tuner)),
      model_(language_model_of(*tuner_)),
      task_ids_(std::move(task_ids)) {}

at::Tensor PromptedLanguageModelImpl::hidden_states(const LanguageModelInput& input) {
  const PreparedInputs prepared = put_prompt(*tuner_, input, task_ids_);
  const at::Tensor hidden = model_.hidden_states(prepared.input());
  const at::Tensor& given = input.input_ids.defined() ? input.input_ids : input.inputs_embeds;
  return hidden.narrow(1, hidden.size(1) - given.size(1), given.size(1));
}

std::unique_ptr<KeyValueCache> PromptedLanguageModelImpl::new_static_cache(
    int64_t max_length) const {
  return model_.new_static_cache(max_length + active_virtual_tokens(*tuner_));
}

}  // namespace peft
