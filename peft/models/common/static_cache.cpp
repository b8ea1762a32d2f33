#include "peft/models/common/static_cache.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft {
namespace {

bool learns(const at::Tensor& x) { return x.defined() && x.requires_grad(); }

// Puts `fresh` behind the first `length` tokens.
void extend(at::Tensor& held, const at::Tensor& fresh, int64_t length, int64_t capacity) {
  if (learns(fresh) || learns(held)) {
    held = length == 0 ? fresh : at::cat({held.narrow(2, 0, length), fresh}, 2);
    return;
  }
  if (!held.defined() || held.size(2) < capacity) {
    const auto room = at::empty({fresh.size(0), fresh.size(1), capacity, fresh.size(3)},
                                fresh.options().requires_grad(false));
    if (length > 0) room.narrow(2, 0, length).copy_(held.narrow(2, 0, length));
    held = room;
  }
  held.narrow(2, length, fresh.size(2)).copy_(fresh);
}

}  // namespace

StaticCache::StaticCache(int64_t layers, int64_t max_length)
    : layers_(static_cast<size_t>(layers)), max_length_(max_length) {
  if (max_length > 0) return;
  throw ConfigError(
      fmt::format("key/value cache: max_length: expected at least one token, got {}.", max_length));
}

std::pair<at::Tensor, at::Tensor> StaticCache::layer(int64_t index) const {
  check_cache_layer(index, layers());
  const auto& layer = layers_[static_cast<size_t>(index)];
  if (layer.length == 0) return {};
  return {layer.keys.narrow(2, 0, layer.length), layer.values.narrow(2, 0, layer.length)};
}

std::pair<at::Tensor, at::Tensor> StaticCache::append(int64_t index, const at::Tensor& keys,
                                                      const at::Tensor& values) {
  check_cache_layer(index, layers());
  auto& layer = layers_[static_cast<size_t>(index)];
  const auto total = layer.length + keys.size(2);
  if (total > max_length_) {
    throw ConfigError(fmt::format(
        "key/value cache: it is full: expected at most {} tokens, got {}. Make it longer, or use "
        "one that grows.",
        max_length_, total));
  }
  extend(layer.keys, keys, layer.length, max_length_);
  extend(layer.values, values, layer.length, max_length_);
  layer.length = total;
  return this->layer(index);
}

void StaticCache::select_rows(const at::Tensor& rows) {
  for (auto& layer : layers_) {
    if (!layer.keys.defined()) continue;
    const at::Tensor index = rows.to(layer.keys.device());
    layer.keys = layer.keys.index_select(0, index);
    layer.values = layer.values.index_select(0, index);
  }
}

}  // namespace peft
