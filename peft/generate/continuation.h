#pragma once

#include <cstdint>
#include <vector>

#include "peft/generate/options.h"

namespace peft {

/// Why a row ended.
enum class FinishReason { kLength, kStopToken, kStopString, kCallback };

/// The new tokens of one row, the stop token included where one ended it.
struct Continuation {
  std::vector<int64_t> tokens = {};
  FinishReason reason = FinishReason::kLength;
  double score = 0.0;  // of a beam: its log-probability over its length to the length_penalty
};

/// What its last new token ends a row with; kLength: nothing, it goes on.
FinishReason end_of(const std::vector<int64_t>& new_tokens, const GenerateOptions& options);

}  // namespace peft
