#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// Sum over the given rows of -log softmax(hidden weightᵀ)[label], without the logits of all rows
/// ever existing at once. Where the weight is plain and frozen the gradient of `hidden` is computed
/// in the same pass; otherwise (an adapter or a trained head) each chunk is computed again in
/// backward.
///   hidden [N, I], weight [V, I], rows [M] int64 (each at most once), labels [M] int64 -> scalar
///   float32
at::Tensor linear_cross_entropy_sum(const at::Tensor& hidden, const at::Tensor& weight,
                                    const at::Tensor& rows, const at::Tensor& labels);

}  // namespace peft
