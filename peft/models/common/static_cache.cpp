#include "peft/models/common/static_cache.h"

#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft {

StaticCache::StaticCache(int64_t layers, int64_t max_length)
    : GrowingCache(layers, max_length), max_length_(max_length) {
  if (max_length > 0) return;
  throw ConfigError(
      fmt::format("key/value cache: max_length: expected at least one token, got {}.", max_length));
}

std::pair<at::Tensor, at::Tensor> StaticCache::append(int64_t index, const at::Tensor& keys,
                                                      const at::Tensor& values) {
  const at::Tensor held = layer(index).first;
  const int64_t total = (held.defined() ? held.size(2) : 0) + keys.size(2);
  if (total > max_length_) {
    throw ConfigError(fmt::format(
        "key/value cache: it is full: expected at most {} tokens, got {}. Make it longer, or use "
        "one that grows.",
        max_length_, total));
  }
  return GrowingCache::append(index, keys, values);
}

}  // namespace peft
