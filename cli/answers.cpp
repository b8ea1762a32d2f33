#include "cli/answers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "peft/answer_spans.h"
#include "peft/tokenizers/unicode.h"

namespace peft::cli {

namespace {

std::vector<ScoredWindow> scored(HeadedBase& base, const std::vector<TaskEncoding>& windows,
                                 int64_t batch_size) {
  std::vector<ScoredWindow> result;
  for (size_t begin = 0; begin < windows.size(); begin += static_cast<size_t>(batch_size)) {
    const size_t end = std::min(windows.size(), begin + static_cast<size_t>(batch_size));
    const auto nth = [&](size_t i) { return windows.begin() + static_cast<ptrdiff_t>(i); };
    const at::Tensor scores = base.scores({nth(begin), nth(end)});
    for (size_t i = begin; i < end; ++i) {
      // Scores of padding come last.
      const auto own = static_cast<int64_t>(windows[i].example.input_ids.size());
      result.push_back(
          {scores[static_cast<int64_t>(i - begin)].narrow(0, 0, own), *windows[i].example.window});
    }
  }
  return result;
}

// The scores of all tokens of the context added up as shares: what they are divided by.
double log_sum(const std::vector<ScoredWindow>& windows, int64_t border) {
  std::vector<at::Tensor> parts;
  for (const auto& [scores, place] : windows) {
    parts.push_back(scores.select(1, border).narrow(0, place.begin, place.end - place.begin));
  }
  return at::logsumexp(at::cat(parts).to(at::kDouble), 0).item<double>();
}

FoundAnswer worded(const AnswerSpan& span, const std::vector<TaskEncoding>& windows,
                   const std::string& context, double sums) {
  const auto& spans = windows[span.window].spans;
  const size_t begin = spans[static_cast<size_t>(span.first)]->first;
  const size_t end = spans[static_cast<size_t>(span.last)]->second;
  const auto characters = [&](size_t bytes) {
    return static_cast<int64_t>(
        tokenizers::count_characters(std::string_view(context).substr(0, bytes)));
  };
  return {.text = context.substr(begin, end - begin),
          .start = characters(begin),
          .end = characters(end),
          .score = std::exp(span.score - sums)};
}

std::vector<FoundAnswer> answers_in(const std::vector<TaskEncoding>& windows,
                                    const std::vector<ScoredWindow>& scores,
                                    const std::string& context, const AnswerOptions& options) {
  const auto most = static_cast<size_t>(options.n_best_size);
  const auto best =
      best_answers(scores, {.n_best_size = most, .max_answer_length = options.max_answer_length});
  if (best.empty()) return {FoundAnswer()};  // there is no word of a context
  std::vector<FoundAnswer> answers;
  if (options.may_lack && no_answer_score(scores) > best.front().score) answers.emplace_back();
  const double sums = log_sum(scores, 0) + log_sum(scores, 1);
  for (const AnswerSpan& span : best) {
    if (answers.size() < most) answers.push_back(worded(span, windows, context, sums));
  }
  return answers;
}

}  // namespace

std::vector<std::vector<FoundAnswer>> find_answers(HeadedBase& base,
                                                   const std::vector<train::TaskRow>& rows,
                                                   const AnswerOptions& options) {
  std::vector<TaskEncoding> windows;  // of all rows, so that they share batches
  std::vector<size_t> ends;
  for (const train::TaskRow& row : rows) {
    const auto own = base.encode(row, options.lengths, kPredictLength);
    windows.insert(windows.end(), own.begin(), own.end());
    ends.push_back(windows.size());
  }
  const auto scores = scored(base, windows, options.batch_size);
  std::vector<std::vector<FoundAnswer>> answers;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto first = static_cast<ptrdiff_t>(i == 0 ? 0 : ends[i - 1]);
    const auto last = static_cast<ptrdiff_t>(ends[i]);
    answers.push_back(answers_in({windows.begin() + first, windows.begin() + last},
                                 {scores.begin() + first, scores.begin() + last},
                                 *rows[i].text_pair, options));
  }
  return answers;
}

}  // namespace peft::cli
