#pragma once

#include "peft/models/common/activation.h"
#include "peft/models/common/rope.h"

namespace peft::gpt_neox {

/// The settings of a GPT-NeoX, such as Pythia.
/// Source: transformers/models/gpt_neox/configuration_gpt_neox.py.
struct GPTNeoXConfig {
  int64_t vocab_size = 50432;
  int64_t hidden_size = 6144;
  int64_t num_hidden_layers = 44;
  int64_t num_attention_heads = 64;
  int64_t intermediate_size = 24576;
  int64_t rotary_dims = 24;  // a head's first numbers, which are rotated
  Activation activation = nullptr;
  double attention_dropout = 0.0, hidden_dropout = 0.0;
  double layer_norm_eps = 1e-5;
  bool use_parallel_residual = true;  // attention and feed-forward read the same input
  bool attention_bias = true;
  RopeParameters rope = {};

  int64_t head_dim() const { return hidden_size / num_attention_heads; }

  /// Reads config.json in either published spelling: rotary_pct and rotary_emb_base, or
  /// rope_parameters.
  /// Throws: ConfigError (a key that is out of range), UnsupportedError (rope type, activation).
  static GPTNeoXConfig from_json(const Json& config);
};

}  // namespace peft::gpt_neox
