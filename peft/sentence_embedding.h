#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace peft {

/// A linear layer behind the pooling, as sentence-t5 has one.
/// Source: Dense in sentence_transformers/models.
struct PooledLayer {
  at::Tensor weight = {};  // [out, in], float32
  at::Tensor bias = {};    // [out]; undefined: none
  bool tanh = false;       // its activation; else none
};

/// How the states of a text's tokens become one vector, as sentence-transformers writes it beside a
/// checkpoint. Several ways at once are put one after the other.
/// Source: Pooling and Normalize in sentence_transformers/models.
struct Pooling {
  bool cls_token = false;                      // the first token
  bool mean_tokens = true;                     // the mean of all
  bool max_tokens = false;                     // the largest number of each place
  bool mean_sqrt_len = false;                  // the sum over the root of their number
  bool last_token = false;                     // the last token
  std::vector<PooledLayer> layers = {};        // on what was pooled, one after the other
  bool normalize = false;                      // to length 1, at the end
  std::optional<int64_t> max_seq_length = {};  // tokens that are read of a text

  /// Reads modules.json and what it names in a checkpoint's folder; a folder without it is pooled
  /// by the mean.
  /// Throws: FormatError, NotFoundError (a layer's weights), UnsupportedError (a module of another
  /// kind, or in another order).
  static Pooling load(const std::filesystem::path& folder);
};

/// states [B, T, D], mask [B, T] (undefined: no padding) -> [B, D] for each way, float32, or as
/// wide as the last layer.
at::Tensor pool(const at::Tensor& states, const at::Tensor& mask, const Pooling& pooling);

}  // namespace peft
