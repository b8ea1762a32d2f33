#include "peft/generate/logits.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <limits>

namespace peft {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

using Rows = std::vector<std::vector<int64_t>>;

// Forbids other tokens in each row.
at::Tensor forbid_in_rows(const at::Tensor& scores, const Rows& forbidden) {
  auto out = scores.clone();
  for (size_t row = 0; row < forbidden.size(); ++row) {
    if (forbidden[row].empty()) continue;
    const auto index = at::tensor(forbidden[row], at::kLong).to(scores.device());
    out[static_cast<int64_t>(row)].index_fill_(0, index, kNever);
  }
  return out;
}

bool ends_with(const std::vector<int64_t>& row, std::vector<int64_t>::const_iterator begin,
               std::vector<int64_t>::const_iterator end) {
  const auto length = end - begin;
  return static_cast<std::ptrdiff_t>(row.size()) >= length &&
         std::equal(begin, end, row.end() - length);
}

// Beams need a token to go on with beside the stop tokens.
int64_t fewest_choices(const GenerateOptions& options) {
  if (options.num_beams == 1) return 1;
  return std::max<int64_t>(2, static_cast<int64_t>(options.stop_token_ids.size()) + 1);
}

at::Tensor narrow_for_sampling(const at::Tensor& given, const GenerateOptions& options) {
  auto scores = given;
  const auto fewest = fewest_choices(options);
  if (options.temperature != 1.0) scores = apply_temperature(scores, options.temperature);
  if (options.top_k > 0) scores = apply_top_k(scores, std::max(options.top_k, fewest));
  if (options.top_p < 1.0) scores = apply_top_p(scores, options.top_p, fewest);
  if (options.min_p > 0.0) scores = apply_min_p(scores, options.min_p, fewest);
  return scores;
}

// Words that are a stop token alone are not forbidden.
Rows without_stop_tokens(const Rows& words, const std::vector<int64_t>& stops) {
  Rows kept;
  std::copy_if(words.begin(), words.end(), std::back_inserter(kept), [&](const auto& word) {
    return word.size() > 1 || std::find(stops.begin(), stops.end(), word[0]) == stops.end();
  });
  return kept;
}

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

at::Tensor forbid_repeated_ngrams(const at::Tensor& scores, const Rows& tokens, int64_t size) {
  Rows forbidden(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto& row = tokens[i];
    const auto last = static_cast<int64_t>(row.size()) - size;
    for (int64_t first = 0; first <= last; ++first) {
      const auto begin = row.begin() + first, end = begin + size - 1;
      if (ends_with(row, begin, end)) forbidden[i].push_back(*end);
    }
  }
  return forbid_in_rows(scores, forbidden);
}

at::Tensor forbid_words(const at::Tensor& scores, const Rows& tokens, const Rows& words) {
  Rows forbidden(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (const auto& word : words) {
      const auto token = word.back();
      if (token < 0 || token >= scores.size(-1)) continue;
      const bool alone = word.size() == 1;
      if (alone ||
          (tokens[i].size() >= word.size() && ends_with(tokens[i], word.begin(), word.end() - 1))) {
        forbidden[i].push_back(token);
      }
    }
  }
  return forbid_in_rows(scores, forbidden);
}

at::Tensor force_tokens(const at::Tensor& scores, const std::vector<int64_t>& tokens) {
  const auto index = at::tensor(tokens, at::kLong).to(scores.device());
  return at::full_like(scores, kNever).index_fill_(-1, index, 0.0);
}

at::Tensor apply_temperature(const at::Tensor& scores, double temperature) {
  return scores / temperature;
}

at::Tensor apply_top_k(const at::Tensor& scores, int64_t k) {
  const auto best = std::get<0>(scores.topk(std::min(k, scores.size(-1))));
  return scores.masked_fill(scores < best.narrow(-1, best.size(-1) - 1, 1), kNever);
}

at::Tensor apply_top_p(const at::Tensor& scores, double p, int64_t fewest) {
  const auto [sorted, order] = scores.sort(-1, /*descending=*/false);
  auto remove = sorted.softmax(-1).cumsum(-1) <= 1 - p;
  const auto kept = std::min(fewest, remove.size(-1));
  remove.narrow(-1, remove.size(-1) - kept, kept).fill_(false);
  return scores.masked_fill(remove.scatter(-1, order, remove), kNever);
}

at::Tensor apply_min_p(const at::Tensor& scores, double p, int64_t fewest) {
  const auto probabilities = scores.softmax(-1);
  const auto [best, places] = probabilities.topk(std::min(fewest, probabilities.size(-1)));
  auto remove = probabilities < p * best.narrow(-1, 0, 1);
  remove.scatter_(-1, places, false);
  return scores.masked_fill(remove, kNever);
}

at::Tensor process_logits(const at::Tensor& given, const RowsSoFar& rows,
                          const GenerateOptions& options) {
  auto scores = given;
  if (options.repetition_penalty != 1.0) {
    scores = penalize_repetition(scores, rows.tokens, options.repetition_penalty);
  }
  if (options.no_repeat_ngram_size > 0) {
    scores = forbid_repeated_ngrams(scores, rows.tokens, options.no_repeat_ngram_size);
  }
  if (!options.bad_words_ids.empty()) {
    scores = forbid_words(scores, rows.tokens,
                          without_stop_tokens(options.bad_words_ids, options.stop_token_ids));
  }
  const bool too_short =
      rows.length < options.min_length || rows.new_tokens < options.min_new_tokens;
  if (too_short && !options.stop_token_ids.empty()) {
    scores = forbid_tokens(scores, options.stop_token_ids);
  }
  if (options.forced_bos_token_id && rows.length == 1) {
    scores = force_tokens(scores, {*options.forced_bos_token_id});
  }
  if (!options.forced_eos_token_ids.empty() && rows.new_tokens + 1 == options.max_new_tokens) {
    scores = force_tokens(scores, options.forced_eos_token_ids);
  }
  return options.do_sample ? narrow_for_sampling(scores, options) : scores;
}

}  // namespace peft
