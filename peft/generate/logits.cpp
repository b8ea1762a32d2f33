#include "peft/generate/logits.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace peft {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

}  // namespace

at::Tensor penalize_repetition(const at::Tensor& scores,
                               const std::vector<std::vector<int64_t>>& tokens, double penalty) {
  auto out = scores.clone();
  for (size_t row = 0; row < tokens.size(); ++row) {
    if (tokens[row].empty()) continue;
    const auto index = at::tensor(tokens[row], at::kLong).to(scores.device());
    const auto at_row = static_cast<int64_t>(row);
    const auto before = scores[at_row].index_select(0, index);
    const auto after = at::where(before < 0, before * penalty, before / penalty);
    out[at_row].scatter_(0, index, after);
  }
  return out;
}

at::Tensor forbid_tokens(const at::Tensor& scores, const std::vector<int64_t>& tokens) {
  std::vector<int64_t> inside;
  for (const auto token : tokens) {
    if (token >= 0 && token < scores.size(-1)) inside.push_back(token);
  }
  return scores.index_fill(-1, at::tensor(inside, at::kLong).to(scores.device()), kNever);
}

at::Tensor apply_temperature(const at::Tensor& scores, double temperature) {
  return scores / temperature;
}

at::Tensor apply_top_k(const at::Tensor& scores, int64_t k) {
  const auto best = std::get<0>(scores.topk(std::min(k, scores.size(-1))));
  return scores.masked_fill(scores < best.narrow(-1, best.size(-1) - 1, 1), kNever);
}

at::Tensor apply_top_p(const at::Tensor& scores, double p) {
  const auto [sorted, order] = scores.sort(-1, /*descending=*/false);
  auto remove = sorted.softmax(-1).cumsum(-1) <= 1 - p;
  remove.narrow(-1, remove.size(-1) - 1, 1).fill_(false);
  return scores.masked_fill(remove.scatter(-1, order, remove), kNever);
}

at::Tensor apply_min_p(const at::Tensor& scores, double p) {
  const auto probabilities = scores.softmax(-1);
  const auto [best, place] = probabilities.max(-1, /*keepdim=*/true);
  auto remove = probabilities < p * best;
  remove.scatter_(-1, place, false);
  return scores.masked_fill(remove, kNever);
}

at::Tensor process_logits(const at::Tensor& given, const RowsSoFar& rows,
                          const GenerateOptions& options) {
  auto scores = given;
  if (options.repetition_penalty != 1.0) {
    scores = penalize_repetition(scores, rows.tokens, options.repetition_penalty);
  }
  if (rows.new_tokens < options.min_new_tokens && !options.stop_token_ids.empty()) {
    scores = forbid_tokens(scores, options.stop_token_ids);
  }
  if (!options.do_sample) return scores;
  if (options.temperature != 1.0) scores = apply_temperature(scores, options.temperature);
  if (options.top_k > 0) scores = apply_top_k(scores, options.top_k);
  if (options.top_p < 1.0) scores = apply_top_p(scores, options.top_p);
  if (options.min_p > 0.0) scores = apply_min_p(scores, options.min_p);
  return scores;
}

}  // namespace peft
