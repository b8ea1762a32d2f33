#include "peft/peft_model_for_causal_lm.h"

#include <algorithm>
#include <optional>

#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/config.h"
#include "peft/tensor/call_tokens.h"

namespace peft {
namespace {

void check_rows(const std::vector<std::string>& adapter_names, int64_t rows) {
  if (static_cast<int64_t>(adapter_names.size()) == rows) return;
  throw MismatchError(
      "adapter_names: length of `adapter_names` should be the same as the number of inputs: "
      "expected " +
      std::to_string(rows) + ", got " + std::to_string(adapter_names.size()) +
      ". Give one name a row.");
}

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

}  // namespace

at::Tensor PeftModelForCausalLM::forward(const LanguageModelInput& input,
                                         const std::vector<std::string>& adapter_names) {
  const CallScope scope(tuner());
  std::optional<MixedBatch> mixed;
  if (!adapter_names.empty()) {
    check_rows(adapter_names,
               (input.input_ids.defined() ? input.input_ids : input.inputs_embeds).size(0));
    mixed.emplace(shared_tuner(), adapter_names);
  }
  if (!input.input_ids.defined()) warn_of_resting_alora(tuner(), adapter_names);
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
    const std::vector<std::vector<int64_t>>& prompts, const GenerateOptions& options,
    const std::vector<std::string>& adapter_names) {
  const CallScope scope(tuner());
  if (adapter_names.empty()) return peft::generate(*model_, prompts, options);
  check_rows(adapter_names, static_cast<int64_t>(prompts.size()));
  MixedBatch mixed(shared_tuner(), adapter_names);
  std::vector<int64_t> batch;
  GenerateOptions with_rows = options;
  with_rows.on_rows = [&](const std::vector<int64_t>& rows) {
    if (rows != batch) mixed.keep_rows(rows);
    batch = rows;
    if (options.on_rows) options.on_rows(rows);
  };
  return peft::generate(*model_, prompts, with_rows);
}

}  // namespace peft
