#pragma once

#include "peft/models/common/activation.h"

namespace peft::opt {

/// The settings of an OPT.
/// Source: transformers/models/opt/configuration_opt.py.
struct OPTConfig {
  int64_t vocab_size = 50272;
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t ffn_dim = 3072;
  int64_t max_position_embeddings = 2048;
  int64_t word_embed_proj_dim = 768;  // width of the embedding; hidden_size: nothing is projected
  Activation activation = nullptr;
  double dropout = 0.1, attention_dropout = 0.0, layerdrop = 0.0;
  bool enable_bias = true;
  bool layer_norm_elementwise_affine = true;  // whether the norms have weights and biases
  bool do_layer_norm_before = true;           // before attention and feed-forward, or after them
  bool final_layer_norm = true;               // after the last layer

  int64_t head_dim() const { return hidden_size / num_attention_heads; }

  /// Throws: ConfigError (a key that is out of range), UnsupportedError (an unknown activation).
  static OPTConfig from_json(const Json& config);
};

}  // namespace peft::opt
