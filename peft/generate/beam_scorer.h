#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "peft/generate/continuation.h"

namespace peft {

/// One row of a beam search.
struct Beam {
  std::vector<int64_t> tokens = {};  // new ones
  FinishReason reason = FinishReason::kLength;
  int64_t parent = 0;  // the running beam of the step before that it goes on from
  bool finished = false;
};

/// The best ways to go on with the beams of one prompt. Legend: K ways, more than there are beams,
/// so that enough of them go on.
struct BeamCandidates {
  at::Tensor scores;            // [K] float32 on the CPU: sums of log-probabilities
  std::vector<int64_t> beams;   // the running beam of each
  std::vector<int64_t> tokens;  // its next token
};

/// The beams of one prompt: those that run, and the best finished ones. Knows scores alone, no
/// model.
/// Source: transformers/generation/utils.py, _get_running_beams_for_next_iteration,
/// _update_finished_beams and _check_early_stop_heuristic.
class BeamScorer {
 public:
  /// The options must outlive it.
  explicit BeamScorer(const GenerateOptions& options);

  /// How many candidates a step has to bring.
  static int64_t candidates(const GenerateOptions& options);

  /// Takes one step: chooses what runs on, and keeps the best of what has finished.
  /// Returns: whether something could run on.
  bool advance(const BeamCandidates& candidates);

  /// Nothing that runs is expected to beat what has finished.
  bool is_done() const;

  /// The beams that run, the best first, and their scores.  [num_beams] float32
  const std::vector<Beam>& running() const { return running_; }
  const at::Tensor& running_scores() const { return running_scores_; }

  /// The best finished beams, num_return_sequences of them, the best first.
  std::vector<Continuation> best() const;

 private:
  void keep_finished(const std::vector<Beam>& ways, const at::Tensor& scores);
  bool may_improve() const;

  const GenerateOptions& options_;
  std::vector<Beam> running_, finished_;
  at::Tensor running_scores_, finished_scores_;  // [num_beams] float32
  int64_t length_ = 0;                           // new tokens of a running beam
  bool may_improve_ = true;
};

}  // namespace peft
