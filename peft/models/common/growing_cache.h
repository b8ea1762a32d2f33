#pragma once

#include <vector>

#include "peft/models/common/kv_cache.h"

namespace peft {

/// A cache that keeps every token, in buffers that double when they are full. Where the keys
/// require a gradient it concatenates instead of writing in place.
class GrowingCache : public KeyValueCache {
 public:
  /// `tokens`: room made at the first append, so that a known length never has to grow.
  explicit GrowingCache(int64_t layers, int64_t tokens = 0);

  int64_t length() const override;
  int64_t layers() const override { return static_cast<int64_t>(layers_.size()); }
  std::pair<at::Tensor, at::Tensor> layer(int64_t index) const override;
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, const at::Tensor& keys,
                                           const at::Tensor& values) override;
  void select_rows(const at::Tensor& rows) override;

 private:
  struct Layer {
    at::Tensor keys = {}, values = {};  // [B, K, capacity, D]
    int64_t length = 0;
  };
  void grow(Layer& layer, const at::Tensor& keys, const at::Tensor& values) const;

  std::vector<Layer> layers_;
  int64_t tokens_;
};

}  // namespace peft
