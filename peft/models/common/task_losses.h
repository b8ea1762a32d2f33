#pragma once

#include <ATen/core/Tensor.h>

#include "peft/base/json.h"

namespace peft {

/// The losses of heads, as transformers computes them; labels of -100 do not count.
/// Legend: B rows, T tokens, L labels. Source: transformers/loss/loss_utils.py.

/// By config.json's `problem_type`; where it has none, by the labels: one score is a regression,
/// integers [B] are one label a row, floating numbers [B, L] are any number of labels a row.
///   logits [B, L] -> scalar float32, the mean
/// Throws: ConfigError for labels that do not fit, or an unknown problem_type.
at::Tensor sequence_classification_loss(const at::Tensor& logits, const at::Tensor& labels,
                                        const Json& config);

/// logits [B, T, L], labels [B, T] int64 -> scalar float32, the mean over the labels that count.
/// Throws: ConfigError for labels that do not fit.
at::Tensor token_classification_loss(const at::Tensor& logits, const at::Tensor& labels);

/// The mean of the losses of both borders. Positions outside of the tokens do not count.
///   logits [B, T, 2], start, end [B] int64 -> scalar float32
/// Throws: ConfigError for positions that do not fit.
at::Tensor question_answering_loss(const at::Tensor& logits, const at::Tensor& start,
                                   const at::Tensor& end);

}  // namespace peft
