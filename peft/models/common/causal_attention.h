#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// Whether causal_attention serves these tensors and this processor.
bool serves_causal_attention(const at::Tensor& query, const at::Tensor& key,
                             const at::Tensor& value);

/// Grouped-query attention where the last token sees all keys and each one before it one key less,
/// on the CPU, with its gradient: key and value heads are never repeated, and nothing of size T x S
/// is kept for backward.
///   query [B, H, T, D], key, value [B, K, S, D], S >= T, in float32 or bfloat16 -> [B, T, H * D]
at::Tensor causal_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            double scale);

}  // namespace peft
