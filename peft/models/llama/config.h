#pragma once

#include <string>
#include <vector>

#include "peft/models/common/rope.h"

namespace peft::llama {

/// The settings of one model of the family, with the differences between its model types resolved.
/// Source: transformers/models/{llama,mistral,qwen2,qwen3}/configuration_*.py.
struct LlamaConfig {
  std::string model_type = "llama";  // llama, mistral, qwen2, qwen3
  int64_t vocab_size = 32000;
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 11008;
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  int64_t num_key_value_heads = 32;
  int64_t head_dim = 128;
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  double attention_dropout = 0.0;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;     // biases of q_proj, k_proj and v_proj
  bool output_bias = false;  // bias of o_proj
  bool mlp_bias = false;
  bool qk_norm = false;  // qwen3: queries and keys are normed head by head
  std::string hidden_act = "silu";
  std::vector<int64_t> windows = {};  // a layer's sliding window in tokens, 0: none
  RopeParameters rope = {};

  /// Reads config.json in either published spelling.
  /// Throws: ConfigError (a key that is missing or out of range), UnsupportedError (rope type,
  /// activation).
  static LlamaConfig from_json(const Json& config);
};

}  // namespace peft::llama
