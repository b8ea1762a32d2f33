#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "peft/generate/options.h"

namespace peft {

/// The steps between a model's scores and the choice of a token. Each takes scores [B, V] float32
/// and returns scores of the same shape, with -inf for what may not be chosen. Source:
/// transformers/generation/logits_process.py, the class named at each.

/// Scores of the tokens that occur in a row's `tokens` are divided by `penalty` where positive and
/// multiplied where negative. RepetitionPenaltyLogitsProcessor.
///   tokens: one list for each row
at::Tensor penalize_repetition(const at::Tensor& scores,
                               const std::vector<std::vector<int64_t>>& tokens, double penalty);

/// Forbids tokens in every row. MinNewTokensLengthLogitsProcessor.
at::Tensor forbid_tokens(const at::Tensor& scores, const std::vector<int64_t>& tokens);

/// Forbids what would complete a sequence of `size` tokens that a row has already.
/// NoRepeatNGramLogitsProcessor.
at::Tensor forbid_repeated_ngrams(const at::Tensor& scores,
                                  const std::vector<std::vector<int64_t>>& tokens, int64_t size);

/// Forbids what would complete one of the words, each at least one token.
/// NoBadWordsLogitsProcessor.
at::Tensor forbid_words(const at::Tensor& scores, const std::vector<std::vector<int64_t>>& tokens,
                        const std::vector<std::vector<int64_t>>& words);

/// Leaves nothing but the given tokens, each with score 0. ForcedBOSTokenLogitsProcessor,
/// ForcedEOSTokenLogitsProcessor.
at::Tensor force_tokens(const at::Tensor& scores, const std::vector<int64_t>& tokens);

/// TemperatureLogitsWarper.
at::Tensor apply_temperature(const at::Tensor& scores, double temperature);

/// Keeps the k best, and what is equal to the last of them. TopKLogitsWarper.
at::Tensor apply_top_k(const at::Tensor& scores, int64_t k);

/// Keeps the smallest set of best tokens whose probability reaches p, at least `fewest` of them.
/// TopPLogitsWarper.
at::Tensor apply_top_p(const at::Tensor& scores, double p, int64_t fewest = 1);

/// Keeps tokens at least `p` times as probable as the best one, at least `fewest` of them.
/// MinPLogitsWarper.
at::Tensor apply_min_p(const at::Tensor& scores, double p, int64_t fewest = 1);

/// What the steps need to know of the rows.
struct RowsSoFar {
  const std::vector<std::vector<int64_t>>& tokens;  // prompt and new tokens of each row, no padding
  int64_t new_tokens = 0;
  int64_t length = 0;  // of a row, padding included
};

/// All steps that the options ask for, in transformers' order.
/// Source: transformers/generation/utils.py, _get_logits_processor.
at::Tensor process_logits(const at::Tensor& scores, const RowsSoFar& rows,
                          const GenerateOptions& options);

}  // namespace peft
