#pragma once

#include "peft/models/common/growing_cache.h"

namespace peft {

/// A cache whose memory is taken once, for a number of tokens that is known. Where the keys require
/// a gradient it concatenates instead of writing in place.
///
/// Source: StaticCache in transformers/cache_utils.py.
class StaticCache : public GrowingCache {
 public:
  /// Throws: ConfigError where `max_length` is not positive.
  StaticCache(int64_t layers, int64_t max_length);

  std::optional<int64_t> max_length() const override { return max_length_; }
  /// Throws: ConfigError where it is full.
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, const at::Tensor& keys,
                                           const at::Tensor& values) override;

 private:
  int64_t max_length_;
};

}  // namespace peft
