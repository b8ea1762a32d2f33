#pragma once

#include "peft/models/common/activation.h"

namespace peft::gpt2 {

/// The settings of a GPT-2.
/// Source: transformers/models/gpt2/configuration_gpt2.py.
struct GPT2Config {
  int64_t vocab_size = 50257;
  int64_t n_positions = 1024;
  int64_t n_embd = 768;
  int64_t n_layer = 12;
  int64_t n_head = 12;
  int64_t n_inner = 4 * 768;
  Activation activation = nullptr;
  double resid_pdrop = 0.1, embd_pdrop = 0.1, attn_pdrop = 0.1;
  double layer_norm_epsilon = 1e-5;
  bool scale_attn_weights = true;                // by 1 / sqrt(width of a head)
  bool scale_attn_by_inverse_layer_idx = false;  // and by 1 / (number of the layer + 1)

  int64_t head_dim() const { return n_embd / n_head; }

  /// Throws: ConfigError (a key that is out of range), UnsupportedError (an unknown activation,
  /// cross-attention).
  static GPT2Config from_json(const Json& config);
};

}  // namespace peft::gpt2
