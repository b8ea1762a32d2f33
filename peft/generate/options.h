#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace peft {

/// How to continue a prompt. Names and meanings as in transformers' GenerationConfig.
struct GenerateOptions {
  int64_t max_new_tokens = 64;
  int64_t min_new_tokens = 0;       // stop tokens are not chosen before
  bool do_sample = false;           // false: the most likely token each time
  double temperature = 1.0;         // > 0; the four below matter where do_sample is true
  int64_t top_k = 50;               // 0: off
  double top_p = 1.0;               // 0 < top_p <= 1; 1: off
  double min_p = 0.0;               // 0 <= min_p <= 1; 0: off
  double repetition_penalty = 1.0;  // > 0; above 1: tokens of the row so far become less likely
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
  std::function<bool(int64_t row, int64_t token)> on_token = {};
  /// Called before each reading of the model with the prompts that the rows of the batch continue;
  /// rows that have ended are left out.
  std::function<void(const std::vector<int64_t>& rows)> on_rows = {};

  /// Throws: ConfigError for a number out of its range, or stop strings without `decode`.
  void validate() const;
};

}  // namespace peft
