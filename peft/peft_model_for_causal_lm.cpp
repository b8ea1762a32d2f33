#include "peft/peft_model_for_causal_lm.h"

#include "peft/tensor/call_tokens.h"

namespace peft {

at::Tensor PeftModelForCausalLM::forward(const LanguageModelInput& input) {
  const CallScope scope(tuner());
  const CallTokensScope tokens(input.input_ids);
  return model_->forward(input);
}

at::Tensor PeftModelForCausalLM::loss_sum(const LanguageModelInput& input,
                                          const at::Tensor& labels) {
  const CallScope scope(tuner());
  const CallTokensScope tokens(input.input_ids);
  return model_->loss_sum(input, labels);
}

std::vector<Continuation> PeftModelForCausalLM::generate(
    const std::vector<std::vector<int64_t>>& prompts, const GenerateOptions& options) {
  const CallScope scope(tuner());
  return peft::generate(*model_, prompts, options);
}

}  // namespace peft
