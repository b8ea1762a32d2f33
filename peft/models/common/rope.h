#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "peft/models/common/config_reader.h"

namespace peft {

/// What a config says about rotary position embeddings, whichever of its two spellings it uses.
/// Source: transformers/modeling_rope_utils.py, RotaryEmbeddingConfigMixin.
struct RopeParameters {
  std::string rope_type = "default";  // default, linear, dynamic, yarn, llama3
  double rope_theta = 10000.0;
  double partial_rotary_factor = 1.0;  // how much of a head is rotated; the family decides
  std::optional<double> factor = {};
  int64_t max_position_embeddings = 2048;
  int64_t original_max_position_embeddings = 2048;
  // yarn
  std::optional<double> attention_factor = {};
  double beta_fast = 32.0, beta_slow = 1.0;
  std::optional<double> mscale = {}, mscale_all_dim = {};
  bool truncate = true;
  // llama3
  double low_freq_factor = 1.0, high_freq_factor = 4.0;

  /// Reads `rope_parameters`, or `rope_theta` and `rope_scaling`.
  /// Throws: ConfigError; UnsupportedError for a rope type that is not in the list above.
  static RopeParameters from_config(const ConfigReader& config, int64_t max_position_embeddings);
};

/// Cosines and sines for the positions of one forward, [B or 1, T, D / 2] float32; the second half
/// of a head's width has the same angles as the first.
struct RotaryAngles {
  at::Tensor cos = {}, sin = {};
};

/// Turns position ids into angles. Immutable; concurrent use is allowed.
///
/// The `dynamic` type depends on the longest row of the call alone, not on what earlier calls have
/// seen: the same as transformers for a fresh model and for a growing sequence.
/// Source: transformers/models/llama/modeling_llama.py, LlamaRotaryEmbedding.
class RotaryEmbedding {
 public:
  /// head_dim: D, even.
  RotaryEmbedding(const RopeParameters& parameters, int64_t head_dim);

  /// position_ids [B or 1, T] int64.
  RotaryAngles angles(const at::Tensor& position_ids) const;

  /// Inverse frequencies [D / 2] float32 for rows of up to `length` tokens.
  at::Tensor inverse_frequencies(int64_t length) const;

 private:
  RopeParameters parameters_;
  int64_t head_dim_;
  at::Tensor inverse_frequencies_;
  double attention_scaling_ = 1.0;
};

/// Rotates each head and moves the heads before the tokens: x [B, T, H, D] -> [B, H, T, D].
/// Differentiable in x.
at::Tensor apply_rotary(const at::Tensor& x, const RotaryAngles& angles);

/// The same of a head's first `dims` numbers; the others only move.
at::Tensor apply_partial_rotary(const at::Tensor& x, const RotaryAngles& angles, int64_t dims);

}  // namespace peft
