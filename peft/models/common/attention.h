#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// Which keys a query may see.
struct AttentionMask {
  at::Tensor additive = {};  // [B or 1, 1, T or 1, S], 0 or -inf; undefined: none
  // With `additive` undefined: the last query sees all S keys, each one before it one key less.
  bool causal = false;
};

/// What decides the mask of one forward. Legend: B rows, T new tokens, S tokens in all.
struct AttentionMaskInput {
  int64_t batch = 1, queries = 1, past = 0;
  at::Tensor padding = {};       // [B, S] 1 = token, 0 = padding; undefined: no padding
  at::Tensor position_ids = {};  // given and without `padding` or past: jumps part packed sequences
  int64_t window = 0;            // a query sees this many last keys, itself included; 0: all
  at::TensorOptions options = {};
};

/// Source: transformers/masking_utils.py, create_causal_mask, create_sliding_window_causal_mask.
/// Throws: ConfigError where the mask's shape does not fit.
AttentionMask make_attention_mask(const AttentionMaskInput& input);

/// Every query sees every key that is no padding; of the input only sizes and `padding` count. The
/// mask is [B, 1, 1, S].
/// Source: transformers/masking_utils.py, create_bidirectional_mask.
/// Throws: ConfigError where the mask's shape does not fit.
AttentionMask make_bidirectional_mask(const AttentionMaskInput& input);

struct AttentionOptions {
  double scale = 1.0;
  double dropout = 0.0;
};

/// Grouped-query attention.
///   query [B, H, T, D], key, value [B, K, S, D] -> [B, T, H * D]
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const AttentionMask& mask, const AttentionOptions& options);

}  // namespace peft
