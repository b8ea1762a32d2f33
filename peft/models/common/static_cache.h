#pragma once

#include <vector>

#include "peft/models/common/kv_cache.h"

namespace peft {

/// A cache whose memory is taken once, for a number of tokens that is known. Where the keys require
/// a gradient it concatenates instead of writing in place.
///
/// Source: StaticCache in transformers/cache_utils.py.
class StaticCache : public KeyValueCache {
 public:
  /// Throws: ConfigError where `max_length` is not positive.
  StaticCache(int64_t layers, int64_t max_length);

  int64_t length() const override { return layers_.empty() ? 0 : layers_.front().length; }
  int64_t layers() const override { return static_cast<int64_t>(layers_.size()); }
  std::optional<int64_t> max_length() const override { return max_length_; }
  std::pair<at::Tensor, at::Tensor> layer(int64_t index) const override;
  /// Throws: ConfigError where it is full.
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, const at::Tensor& keys,
                                           const at::Tensor& values) override;
  void select_rows(const at::Tensor& rows) override;

 private:
  struct Layer {
    at::Tensor keys = {}, values = {};  // [B, K, max_length, D], or what is held where it learns
    int64_t length = 0;
  };

  std::vector<Layer> layers_;
  int64_t max_length_;
};

}  // namespace peft
