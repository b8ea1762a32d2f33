#include "cli/scoring.h"

#include <algorithm>

#include "peft/tensor/call_tokens.h"

namespace peft::cli {

namespace {

constexpr int64_t kChunk = 256;  // tokens whose logits exist at once

/// hidden [T, hidden], targets [T] -> log-probabilities [T], float32.
at::Tensor chosen_logprobs(LanguageModelImpl& model, const at::Tensor& hidden,
                           const at::Tensor& targets) {
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < hidden.size(0); begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, hidden.size(0));
    const at::Tensor logits = model.head(hidden.slice(0, begin, end)).to(at::kFloat);  // [C, V]
    const at::Tensor chosen =
        logits.gather(1, targets.slice(0, begin, end).unsqueeze(1)).squeeze(1);
    parts.push_back(chosen - at::logsumexp(logits, 1));
  }
  return at::cat(parts);
}

}  // namespace

std::vector<RowScore> score_rows(LanguageModelImpl& model,
                                 const std::vector<train::Example>& examples,
                                 const std::vector<size_t>& rows) {
  const at::InferenceMode inference;
  const train::Batch batch = train::collate(examples, rows);
  const CallTokensScope tokens(batch.input_ids);
  const at::Tensor hidden = model.hidden_states(
      {.input_ids = batch.input_ids, .attention_mask = batch.attention_mask});  // [B, T, hidden]
  std::vector<RowScore> scores;
  for (size_t i = 0; i < rows.size(); ++i) {
    const train::Example& example = examples[rows[i]];
    const auto length = static_cast<int64_t>(example.input_ids.size());
    RowScore score{.num_tokens = example.counted()};
    if (length > 1) {
      const auto row = static_cast<int64_t>(i);
      const at::Tensor logprobs = chosen_logprobs(model, hidden[row].slice(0, 0, length - 1),
                                                  batch.input_ids[row].slice(0, 1, length));
      const float* const data = logprobs.const_data_ptr<float>();
      score.logprobs.assign(data, data + length - 1);
      for (int64_t t = 1; t < length; ++t) {
        if (example.labels[t] != train::kIgnoreLabel) score.loss_sum -= data[t - 1];
      }
    }
    scores.push_back(std::move(score));
  }
  return scores;
}

}  // namespace peft::cli
