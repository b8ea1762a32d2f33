#pragma once

#include "peft/models/common/fused_kernels.h"

/// Causal attention over plain memory, one head or group of heads a call, so that callers decide
/// about threads. Scores live in float32 for 64 queries at a time and are computed again in
/// backward; the products run on libtorch's own small-block product (brgemm). Strides count numbers
/// between tokens. Legend: T tokens, S keys (T of the tokens and, `before` them, others that every
/// token sees), D head width, G query heads that share one key/value head.
namespace peft::kernels {

/// One query head: out[t] = softmax(scale q[t] kᵀ over keys 0..before + t) v.
template <typename T>
struct CausalHead {
  const T *q = nullptr, *k = nullptr, *v = nullptr;  // [T, D], [S, D], [S, D]
  T* out = nullptr;                                  // [T, D]
  float* log_sum = nullptr;                          // [T]: log of the sum of exp(scores)
  int64_t q_stride = 0, k_stride = 0, v_stride = 0, out_stride = 0;
  int64_t before = 0, tokens = 0, width = 0;  // `width` even
  float scale = 1;
};
void causal_attention(const CausalHead<float>& head);
void causal_attention(const CausalHead<Bfloat16>& head);

/// Gradients of one key/value head and the G query heads that share it. A head's q, out, gradient
/// and q_gradient lie `..._head_stride` after those of the head before.
template <typename T>
struct CausalGroupGradient {
  const T *q = nullptr, *k = nullptr, *v = nullptr;  // [G, T, D], [S, D], [S, D]
  const T *out = nullptr, *gradient = nullptr;       // [G, T, D]
  const float* log_sum = nullptr;                    // [G, T]
  T *q_gradient = nullptr, *k_gradient = nullptr, *v_gradient = nullptr;
  int64_t q_stride = 0, k_stride = 0, v_stride = 0, out_stride = 0;  // out and gradient
  int64_t v_gradient_stride = 0;  // q_gradient and k_gradient have rows of D numbers
  int64_t q_head_stride = 0, out_head_stride = 0;
  int64_t heads = 1, before = 0, tokens = 0, width = 0;
  float scale = 1;
};
void causal_attention_gradient(const CausalGroupGradient<float>& group);
void causal_attention_gradient(const CausalGroupGradient<Bfloat16>& group);

}  // namespace peft::kernels
