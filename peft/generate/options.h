#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace peft {

/// When a beam search ends: where the beams that go on can hardly beat the finished ones, judged by
/// their length now; as soon as there are num_beams finished ones; or where they cannot beat them
/// at any length.
enum class EarlyStopping { kFalse, kTrue, kNever };

/// How to continue a prompt. Names and meanings as in transformers' GenerationConfig.
struct GenerateOptions {
  int64_t max_new_tokens = 64;
  int64_t min_new_tokens = 0;        // stop tokens are not chosen before
  int64_t min_length = 0;            // the same for the row's length, the prompt included
  bool do_sample = false;            // false: the most likely token each time
  double temperature = 1.0;          // > 0; the four below matter where do_sample is true
  int64_t top_k = 50;                // 0: off
  double top_p = 1.0;                // 0 < top_p <= 1; 1: off
  double min_p = 0.0;                // 0 <= min_p <= 1; 0: off
  double repetition_penalty = 1.0;   // > 0; above 1: tokens of the row so far become less likely
  int64_t no_repeat_ngram_size = 0;  // so many tokens in a row come once; 0: off
  int64_t num_beams = 1;             // rows kept for each prompt; 1: no beam search
  double length_penalty = 1.0;  // a beam's score is divided by its length to this power; above 0
                                // favours long ones
  EarlyStopping early_stopping = EarlyStopping::kFalse;
  int64_t num_return_sequences = 1;  // continuations of each prompt: samples, or the best beams
  std::optional<int64_t> forced_bos_token_id = {};       // the token behind a row's first one
  std::vector<int64_t> forced_eos_token_ids = {};        // the only choice for the last token
  std::vector<std::vector<int64_t>> bad_words_ids = {};  // sequences that are never completed
  std::vector<int64_t> stop_token_ids = {};
  /// A row ends where its new text contains one of these; `decode` turns new tokens into text.
  std::vector<std::string> stop_strings = {};
  std::function<std::string(const std::vector<int64_t>&)> decode = {};
  /// "dynamic": the cache grows as it has to. "static": its memory is taken at the beginning, for
  /// the longest prompt and max_new_tokens.
  std::string cache_implementation = "dynamic";
  /// Own random numbers, the same as after torch.manual_seed in Python; unset: libtorch's
  /// generator.
  std::optional<uint64_t> seed = {};
  int64_t pad_token_id = 0;  // fills shorter prompts on the left; never seen by the model
  /// Called with each new token of each row as soon as it is known; returning false ends the row.
  /// Not with beams, which may still be given up.
  std::function<bool(int64_t row, int64_t token)> on_token = {};
  /// Called before each reading of the model with the prompts that the rows of the batch continue;
  /// rows that have ended are left out.
  std::function<void(const std::vector<int64_t>& rows)> on_rows = {};

  /// Throws: ConfigError for a number out of its range, and for options that do not go together:
  /// stop strings without `decode`, on_token with beams, more than one sequence from a greedy
  /// search, more than there are beams.
  void validate() const;
};

}  // namespace peft
