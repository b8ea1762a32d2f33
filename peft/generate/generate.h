#pragma once

#include <vector>

#include "peft/generate/continuation.h"
#include "peft/generate/options.h"
#include "peft/models/common/language_model.h"
#include "peft/models/common/seq2seq_model.h"

namespace peft {

/// Continues each prompt. Shorter prompts are padded on the left and masked, rows that are done
/// leave the batch. The model is run as it is: call `eval()` first where its layers have dropout.
///   prompts: token ids, each at least one -> num_return_sequences continuations for each prompt,
///   in order
/// Throws: ConfigError (an option out of range, an empty prompt, a token outside of the
/// vocabulary). Source: transformers/generation/utils.py, GenerationMixin.generate.
std::vector<Continuation> generate(LanguageModelImpl& model,
                                   const std::vector<std::vector<int64_t>>& prompts,
                                   const GenerateOptions& options = {});

/// Writes a target for each source, behind the decoder's start token. Shorter sources are padded on
/// the right and masked.
std::vector<Continuation> generate(Seq2SeqModelImpl& model,
                                   const std::vector<std::vector<int64_t>>& sources,
                                   const GenerateOptions& options = {});

/// What a checkpoint's config.json says of generation: stop tokens, padding, forced tokens.
/// Throws: ConfigError where one of them is no token.
/// Source: GenerationConfig.from_model_config in transformers/generation/configuration_utils.py.
GenerateOptions generate_options_of(const Json& config);

}  // namespace peft
