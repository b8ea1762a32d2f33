#include "peft/peft_model_for_causal_lm.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/config.h"
#include "peft/mixed_generation.h"
#include "peft/prompted_language_model.h"
#include "peft/task_call.h"
#include "peft/tensor/call_tokens.h"

namespace peft {
namespace {

// Without tokens nothing is found in them: such adapters rest.
void warn_of_resting_alora(const Tuner& tuner, const std::vector<std::string>& adapter_names) {
  if (tuner.method().name != "LORA" || !tuner.enabled()) return;
  const auto& names = adapter_names.empty() ? tuner.active_adapters() : adapter_names;
  const bool any = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    if (!tuner.has(name)) return false;
    const Json& tokens = tuner.config(name).as<LoraConfig>().alora_invocation_tokens;
    return tokens.is_array() && !tokens.empty();
  });
  if (!any) return;
  warn(
      "Cannot calculate aLoRA offsets when only inputs_embeds are provided. Disabling aLoRA for "
      "this forward pass.");
}

// What tokens are is shifted by the largest type of the context.
[[noreturn]] void throw_no_label_left() {
  throw ConfigError(
      "loss: no token is a label: expected types (input_type_mask) that are multiples of 4 once "
      "the "
      "largest of cpt_tokens_type_mask is added to them, got none. Let that largest type be a "
      "multiple of 4.");
}

// The loss of every label that is not -100, predicted from the token before it, else 0.
//   logits [B, T, V], labels [B, T] -> [B, T - 1] float32
at::Tensor losses_of_labels(const at::Tensor& logits, const at::Tensor& labels) {
  const int64_t next = labels.size(1) - 1;
  const at::Tensor scores = logits.narrow(1, 0, next).to(at::kFloat);
  return at::cross_entropy_loss(scores.reshape({-1, scores.size(2)}),
                                labels.narrow(1, 1, next).reshape({-1}).to(scores.device()), {},
                                at::Reduction::None, -100)
      .view({labels.size(0), next});
}

}  // namespace

at::Tensor PeftModelForCausalLM::forward(const LanguageModelInput& input,
                                         const std::vector<std::string>& adapter_names) {
  return forward(input, CausalLMCall{.adapter_names = adapter_names});
}

at::Tensor PeftModelForCausalLM::forward(const LanguageModelInput& input,
                                         const CausalLMCall& call) {
  const TaskScope scope(shared_tuner(), call.adapter_names, rows_of(input));
  if (tuner().active_prompt() != nullptr) {
    warn_of_positions(tuner(), input.position_ids);
    return model_->forward(put_prompt(tuner(), input, call.task_ids).input());
  }
  if (!input.input_ids.defined()) warn_of_resting_alora(tuner(), call.adapter_names);
  const CallTokensScope tokens(input.input_ids);
  return model_->forward(input);
}

// A prompt of embeddings has positions of its own, where nothing is predicted unless its tokens
// have labels.
PeftModelForCausalLM::Weighed PeftModelForCausalLM::labels_with_prompt(
    const at::Tensor& labels, const CausalLMCall& call) const {
  const int64_t tokens = active_virtual_tokens(tuner());
  if (tokens == 0 || tuner().method().prompt_is_cache) return {.labels = labels};
  const int64_t rows = labels.size(0);
  const PromptLabels* own = tuner().active_prompt()->labels();
  if (own == nullptr) {
    return {.labels = at::cat({at::full({rows, tokens}, -100, labels.options()), labels}, 1)};
  }
  const auto of_prompt = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, labels.options()).unsqueeze(0).expand({rows, -1});
  };
  at::Tensor types = call.input_type_mask.defined() ? call.input_type_mask.to(labels.device())
                                                    : at::full_like(labels, 4);
  const int64_t shift = *std::max_element(own->types.begin(), own->types.end());
  types = at::cat({of_prompt(own->types), at::where(types.gt(0), types + shift, types)}, 1);
  at::Tensor all = at::cat({of_prompt(own->token_ids), labels}, 1);
  all = all.masked_fill(types.gt(0).logical_and(types.remainder(4).eq(0)).logical_not(), -100);
  return {.labels = all, .weights = own->weigh(types, all)};
}

at::Tensor PeftModelForCausalLM::weighed_sum(const LanguageModelInput& input,
                                             const Weighed& weighed) {
  if (!weighed.weights.defined()) return model_->loss_sum(input, weighed.labels);
  const at::Tensor losses = losses_of_labels(model_->forward(input), weighed.labels);
  return (losses * weighed.weights.narrow(1, 1, losses.size(1)).to(losses.device())).sum();
}

std::pair<at::Tensor, int64_t> PeftModelForCausalLM::sum_and_count(const LanguageModelInput& input,
                                                                   const at::Tensor& labels,
                                                                   const CausalLMCall& call) {
  const TaskScope scope(shared_tuner(), call.adapter_names, labels.size(0));
  warn_of_positions(tuner(), input.position_ids);
  const CallTokensScope tokens(input.input_ids);
  const Weighed weighed = labels_with_prompt(labels, call);
  const PreparedInputs prepared = put_prompt(tuner(), input, call.task_ids);
  const at::Tensor sum = weighed_sum(prepared.input(), weighed);
  const int64_t next = weighed.labels.size(1) - 1;
  const auto count = weighed.labels.narrow(1, 1, next).ne(-100).sum().item<int64_t>();
  if (count == 0 && weighed.weights.defined()) throw_no_label_left();
  return {sum, count};
}

at::Tensor PeftModelForCausalLM::loss(const LanguageModelInput& input, const at::Tensor& labels,
                                      const CausalLMCall& call) {
  const auto [sum, count] = sum_and_count(input, labels, call);
  return sum / static_cast<double>(count);
}

at::Tensor PeftModelForCausalLM::loss_sum(const LanguageModelInput& input, const at::Tensor& labels,
                                          const CausalLMCall& call) {
  const auto [sum, count] = sum_and_count(input, labels, call);
  const BasePromptEncoder* prompt = tuner().active_prompt();
  if (prompt == nullptr || prompt->labels() == nullptr) return sum;
  const auto of_tokens = labels.narrow(1, 1, labels.size(1) - 1).ne(-100).sum().item<int64_t>();
  return sum * (static_cast<double>(of_tokens) / static_cast<double>(count));
}

PreparedInputs PeftModelForCausalLM::prepare_inputs_for_generation(
    const LanguageModelInput& given, const at::Tensor& task_ids) const {
  LanguageModelInput input = given;
  const at::Tensor& ids = input.input_ids;
  if (tuner().active_prompt() != nullptr && input.cache && ids.defined() &&
      input.cache->length() >= ids.size(1)) {
    input.input_ids = ids.slice(1, -1);
  }
  const at::Tensor& tokens = ids.defined() ? ids : input.inputs_embeds;
  if (input.position_ids.defined() && tokens.defined()) {
    input.position_ids = input.position_ids.slice(1, -tokens.size(1));
  }
  warn_of_positions(tuner(), input.position_ids);
  return put_prompt(tuner(), input, task_ids);
}

std::vector<Continuation> PeftModelForCausalLM::generate(
    const std::vector<std::vector<int64_t>>& prompts, const GenerateOptions& options,
    const std::vector<std::string>& adapter_names) {
  return generate(prompts, options, CausalLMCall{.adapter_names = adapter_names});
}

std::vector<Continuation> PeftModelForCausalLM::generate(
    const std::vector<std::vector<int64_t>>& prompts, const GenerateOptions& options,
    const CausalLMCall& call) {
  TaskScope scope(shared_tuner(), call.adapter_names, static_cast<int64_t>(prompts.size()));
  if (tuner().active_prompt() != nullptr) {
    PromptedLanguageModelImpl prompted(shared_tuner(), call.task_ids);
    return peft::generate(prompted, prompts, options);
  }
  if (scope.mixed() == nullptr) return peft::generate(*model_, prompts, options);
  return peft::generate(*model_, prompts, follow_rows(*scope.mixed(), options));
}

}  // namespace peft
