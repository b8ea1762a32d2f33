#include "peft/answer_spans.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace peft {
namespace {

bool is_better(const AnswerSpan& a, const AnswerSpan& b) { return a.score > b.score; }

// Keeps the best ones in a heap whose top is the worst of them; of equals the first stays.
void offer(const AnswerSpan& span, size_t most, std::vector<AnswerSpan>& best) {
  if (best.size() < most) {
    best.push_back(span);
    std::push_heap(best.begin(), best.end(), is_better);
  } else if (most > 0 && is_better(span, best.front())) {
    std::pop_heap(best.begin(), best.end(), is_better);
    best.back() = span;
    std::push_heap(best.begin(), best.end(), is_better);
  }
}

}  // namespace

std::vector<AnswerSpan> best_answers(const std::vector<ScoredWindow>& windows,
                                     const AnswerSpanOptions& options) {
  std::vector<AnswerSpan> best;
  for (size_t w = 0; w < windows.size(); ++w) {
    const auto scores = windows[w].scores.accessor<float, 2>();
    const train::TextWindow& place = windows[w].place;
    for (int64_t first = place.begin; first < place.end; ++first) {
      const int64_t stop = std::min(place.end, first + options.max_answer_length);
      for (int64_t last = first; last < stop; ++last) {
        const double score = double{scores[first][0]} + double{scores[last][1]};
        offer({.window = w, .first = first, .last = last, .score = score}, options.n_best_size,
              best);
      }
    }
  }
  std::sort_heap(best.begin(), best.end(), is_better);
  return best;
}

double no_answer_score(const std::vector<ScoredWindow>& windows) {
  double least = std::numeric_limits<double>::infinity();
  for (const ScoredWindow& window : windows) {
    const auto scores = window.scores.accessor<float, 2>();
    least = std::min(least, double{scores[0][0]} + double{scores[0][1]});
  }
  return least;
}

}  // namespace peft
