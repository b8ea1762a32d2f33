#pragma once

#include <ATen/core/Tensor.h>

#include "peft/models/common/attention.h"

namespace peft::t5 {

/// How distances between tokens fall into buckets.
struct PositionBuckets {
  int64_t count = 32, max_distance = 128;
  bool bidirectional = true;  // false: a decoder's, which looks back only

  /// The bucket of each distance key - query.  distances [T, S] int64 -> [T, S] int64
  /// Source: T5Attention._relative_position_bucket in transformers/models/t5/modeling_t5.py.
  at::Tensor of(const at::Tensor& distances) const;
};

/// What is added to the scores of `queries` tokens after `past` ones, and of all those as keys.
///   weight [buckets, H] -> [1, H, T, past + T]
at::Tensor position_bias(const at::Tensor& weight, const PositionBuckets& buckets, int64_t queries,
                         int64_t past);

/// The bias where a mask lets a query see a key, else the lowest number of its type.
/// Source: create_position_bias_mask in transformers/integrations/sdpa_attention.py.
AttentionMask with_bias(const AttentionMask& mask, const at::Tensor& bias);

}  // namespace peft::t5
