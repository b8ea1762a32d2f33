#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace peft {

/// Keys and values of the tokens seen so far, one pair a layer. Legend: B rows, K key/value heads,
/// S tokens so far, T new tokens, D head width.
class KeyValueCache {
 public:
  virtual ~KeyValueCache() = default;

  /// Number of tokens held (the same for every layer between two forwards).
  virtual int64_t length() const = 0;

  /// Number of layers.
  virtual int64_t layers() const = 0;

  /// The most tokens that it takes; nullopt: it grows.
  virtual std::optional<int64_t> max_length() const { return std::nullopt; }

  /// Keys and values of one layer, [B, K, S, D] each; undefined where it has none yet.
  /// Throws: ConfigError for a layer that is not there.
  virtual std::pair<at::Tensor, at::Tensor> layer(int64_t index) const = 0;

  /// Adds keys and values [B, K, T, D] of one layer and returns all of them [B, K, S + T, D].
  virtual std::pair<at::Tensor, at::Tensor> append(int64_t layer, const at::Tensor& keys,
                                                   const at::Tensor& values) = 0;

  /// Keeps the given rows, in this order (beam search, finished rows).  rows [B'], int64.
  virtual void select_rows(const at::Tensor& rows) = 0;
};

/// Throws: ConfigError where a cache has no layer of that number.
void check_cache_layer(int64_t index, int64_t layers);

}  // namespace peft
