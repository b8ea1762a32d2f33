#include "peft/generate/beam_scorer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace peft {
namespace {

constexpr double kWorst = -1e9;  // of what is not there, as in transformers

// The best of the given beams, the best first, with their scores.
std::vector<Beam> take_best(const std::vector<Beam>& beams, at::Tensor& scores, int64_t count) {
  const auto [best, index] = scores.topk(count);
  const auto* order = index.const_data_ptr<int64_t>();
  std::vector<Beam> taken;
  for (int64_t i = 0; i < count; ++i) taken.push_back(beams[static_cast<size_t>(order[i])]);
  scores = best;
  return taken;
}

// Adds kWorst where a beam is, or is not, finished.
at::Tensor without(const std::vector<Beam>& beams, const at::Tensor& scores, bool finished) {
  auto penalty = at::zeros_like(scores);
  for (size_t i = 0; i < beams.size(); ++i) {
    if (beams[i].finished == finished) penalty[static_cast<int64_t>(i)] = kWorst;
  }
  return scores + penalty;
}

bool all_finished(const std::vector<Beam>& beams) {
  return std::all_of(beams.begin(), beams.end(), [](const Beam& beam) { return beam.finished; });
}

}  // namespace

BeamScorer::BeamScorer(const GenerateOptions& options)
    : options_(options),
      running_(static_cast<size_t>(options.num_beams)),
      finished_(running_),
      running_scores_(at::full({options.num_beams}, kWorst, at::kFloat)),
      finished_scores_(running_scores_.clone()) {
  running_scores_[0] = 0.0;  // all beams are the prompt: one of them is enough to begin with
}

int64_t BeamScorer::candidates(const GenerateOptions& options) {
  const auto stops = static_cast<int64_t>(options.stop_token_ids.size());
  return std::max<int64_t>(2, 1 + stops) * options.num_beams;
}

bool BeamScorer::advance(const BeamCandidates& candidates) {
  ++length_;
  std::vector<Beam> ways;
  for (size_t i = 0; i < candidates.tokens.size(); ++i) {
    Beam way{.tokens = running_[static_cast<size_t>(candidates.beams[i])].tokens,
             .parent = candidates.beams[i]};
    way.tokens.push_back(candidates.tokens[i]);
    way.reason = end_of(way.tokens, options_);
    way.finished = way.reason != FinishReason::kLength || length_ == options_.max_new_tokens;
    ways.push_back(std::move(way));
  }
  running_scores_ = without(ways, candidates.scores, true);
  running_ = take_best(ways, running_scores_, options_.num_beams);
  keep_finished(ways, candidates.scores);
  may_improve_ = may_improve_ && may_improve();
  return !all_finished(ways);
}

void BeamScorer::keep_finished(const std::vector<Beam>& ways, const at::Tensor& scores) {
  auto known = finished_;
  known.insert(known.end(), ways.begin(), ways.end());
  // Ways behind the first num_beams are there to run on, not to finish.
  for (size_t i = static_cast<size_t>(2 * options_.num_beams); i < known.size(); ++i) {
    known[i].finished = false;
  }
  const std::vector<Beam> fresh(known.begin() + options_.num_beams, known.end());
  const auto weighed = scores / std::pow(static_cast<double>(length_), options_.length_penalty);
  auto merged = at::cat({finished_scores_, without(fresh, weighed, false)});
  finished_ = take_best(known, merged, options_.num_beams);
  finished_scores_ = merged;
}

bool BeamScorer::may_improve() const {
  const bool longest =
      options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0;
  const auto length = static_cast<double>(longest ? options_.max_new_tokens : length_);
  const auto best = running_scores_.narrow(0, 0, 1) / std::pow(length, options_.length_penalty);
  const auto worst =
      all_finished(finished_) ? finished_scores_.min() : at::full({}, kWorst, at::kFloat);
  return best.gt(worst).item<bool>();
}

bool BeamScorer::is_done() const {
  const bool enough = options_.early_stopping == EarlyStopping::kTrue && all_finished(finished_);
  return enough || !may_improve_;
}

std::vector<Continuation> BeamScorer::best() const {
  std::vector<Continuation> best;
  for (int64_t i = 0; i < options_.num_return_sequences; ++i) {
    const Beam& beam = finished_[static_cast<size_t>(i)];
    best.push_back({.tokens = beam.tokens,
                    .reason = beam.reason,
                    .score = finished_scores_[i].item<double>()});
  }
  return best;
}

}  // namespace peft
