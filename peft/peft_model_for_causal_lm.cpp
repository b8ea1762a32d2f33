#include "peft/peft_model_for_causal_lm.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "peft/tensor/call_tokens.h"

namespace peft {
namespace {

// The prompts as one matrix, filled on the left with what is no token.
at::Tensor padded(const std::vector<std::vector<int64_t>>& prompts) {
  size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  const auto width = static_cast<int64_t>(longest);
  const at::Tensor ids = at::full({static_cast<int64_t>(prompts.size()), width}, -1, at::kLong);
  for (size_t row = 0; row < prompts.size(); ++row) {
    const auto length = static_cast<int64_t>(prompts[row].size());
    ids[static_cast<int64_t>(row)]
        .narrow(0, width - length, length)
        .copy_(at::tensor(prompts[row], at::kLong));
  }
  return ids;
}

}  // namespace

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
  const CallTokens tokens(padded(prompts));
  std::vector<int64_t> batch;
  std::optional<CallTokensScope> of_batch;
  GenerateOptions with_tokens = options;
  with_tokens.on_rows = [&](const std::vector<int64_t>& rows) {
    if (!of_batch || rows != batch) {
      of_batch.reset();
      of_batch.emplace(tokens.select(rows));
      batch = rows;
    }
    if (options.on_rows) options.on_rows(rows);
  };
  return peft::generate(*model_, prompts, with_tokens);
}

}  // namespace peft
