#include "peft/models/common/growing_cache.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "peft/base/error.h"

namespace peft {
namespace {

at::Tensor room_like(const at::Tensor& x, int64_t capacity) {
  return at::empty({x.size(0), x.size(1), capacity, x.size(3)}, x.options().requires_grad(false));
}

bool differentiable(const at::Tensor& x) { return x.defined() && x.requires_grad(); }

}  // namespace

void check_cache_layer(int64_t index, int64_t layers) {
  if (index >= 0 && index < layers) return;
  throw ConfigError(
      fmt::format("key/value cache: no such layer: expected 0 to {}, got {}.", layers - 1, index));
}

GrowingCache::GrowingCache(int64_t layers, int64_t tokens)
    : layers_(static_cast<size_t>(layers)), tokens_(tokens) {}

int64_t GrowingCache::length() const { return layers_.empty() ? 0 : layers_.front().length; }

void GrowingCache::grow(Layer& layer, const at::Tensor& keys, const at::Tensor& values) const {
  const auto needed = layer.length + keys.size(2);
  const auto capacity = layer.keys.defined() ? layer.keys.size(2) : 0;
  if (needed <= capacity) return;
  const auto wider = std::max({needed, 2 * capacity, tokens_});
  auto new_keys = room_like(keys, wider), new_values = room_like(values, wider);
  if (layer.length > 0) {
    new_keys.narrow(2, 0, layer.length).copy_(layer.keys.narrow(2, 0, layer.length));
    new_values.narrow(2, 0, layer.length).copy_(layer.values.narrow(2, 0, layer.length));
  }
  layer.keys = new_keys;
  layer.values = new_values;
}

std::pair<at::Tensor, at::Tensor> GrowingCache::layer(int64_t index) const {
  check_cache_layer(index, layers());
  const auto& layer = layers_[static_cast<size_t>(index)];
  if (layer.length == 0) return {};
  return {layer.keys.narrow(2, 0, layer.length), layer.values.narrow(2, 0, layer.length)};
}

std::pair<at::Tensor, at::Tensor> GrowingCache::append(int64_t index, const at::Tensor& keys,
                                                       const at::Tensor& values) {
  check_cache_layer(index, layers());
  auto& layer = layers_[static_cast<size_t>(index)];
  const auto fresh = keys.size(2), total = layer.length + fresh;
  if (differentiable(keys) || differentiable(values) || differentiable(layer.keys)) {
    if (layer.length > 0) {
      layer.keys = at::cat({layer.keys.narrow(2, 0, layer.length), keys}, 2);
      layer.values = at::cat({layer.values.narrow(2, 0, layer.length), values}, 2);
    } else {
      layer.keys = keys;
      layer.values = values;
    }
    layer.length = total;
    return {layer.keys, layer.values};
  }
  grow(layer, keys, values);
  layer.keys.narrow(2, layer.length, fresh).copy_(keys);
  layer.values.narrow(2, layer.length, fresh).copy_(values);
  layer.length = total;
  return {layer.keys.narrow(2, 0, total), layer.values.narrow(2, 0, total)};
}

void GrowingCache::select_rows(const at::Tensor& rows) {
  for (auto& layer : layers_) {
    if (!layer.keys.defined()) continue;
    const at::Tensor index = rows.to(layer.keys.device());
    layer.keys = layer.keys.index_select(0, index);
    layer.values = layer.values.index_select(0, index);
  }
}

}  // namespace peft
