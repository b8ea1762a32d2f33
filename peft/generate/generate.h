#pragma once

#include <vector>

#include "peft/generate/options.h"
#include "peft/models/common/language_model.h"

namespace peft {

/// Why a row ended.
enum class FinishReason { kLength, kStopToken, kStopString, kCallback };

/// The new tokens of one row, the stop token included where one ended it.
struct Continuation {
  std::vector<int64_t> tokens = {};
  FinishReason reason = FinishReason::kLength;
};

/// Continues each prompt. Shorter prompts are padded on the left and masked, rows that are done
/// leave the batch. The model is run as it is: call `eval()` first where its layers have dropout.
///   prompts: token ids, each at least one -> one continuation for each prompt, in order
/// Throws: ConfigError (an option out of range, an empty prompt, a token outside of the
/// vocabulary). Source: transformers/generation/utils.py, GenerationMixin._sample.
std::vector<Continuation> generate(LanguageModelImpl& model,
                                   const std::vector<std::vector<int64_t>>& prompts,
                                   const GenerateOptions& options = {});

}  // namespace peft
