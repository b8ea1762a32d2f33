#pragma once

#include <optional>
#include <string>

#include "peft/models/common/activation.h"

namespace peft::t5 {

/// The settings of one model of the family, with the differences between its model types resolved.
/// Source: transformers/models/{t5,mt5}/configuration_*.py.
struct T5Config {
  int64_t vocab_size = 32128;
  int64_t d_model = 512;
  int64_t d_kv = 64;  // width of a head; heads * d_kv need not be d_model
  int64_t d_ff = 2048;
  int64_t num_layers = 6;
  int64_t num_decoder_layers = 6;
  int64_t num_heads = 8;
  int64_t relative_attention_num_buckets = 32;
  int64_t relative_attention_max_distance = 128;
  double dropout_rate = 0.1;
  double layer_norm_epsilon = 1e-6;
  Activation activation = nullptr;  // of feed_forward_proj
  bool gated = false;               // its word begins with "gated-"
  bool scale_decoder_outputs = true;
  bool own_head = false;      // lm_head is not the embedding
  bool encoder_only = false;  // the class that config.json names is the encoder alone
  int64_t num_labels = 2;
  double classifier_dropout = 0.0;
  std::optional<int64_t> pad_token_id = 0;
  std::optional<int64_t> decoder_start_token_id = std::nullopt;

  /// Throws: ConfigError (a key that is out of range), UnsupportedError (an activation that is not
  /// known).
  static T5Config from_json(const Json& config);
};

}  // namespace peft::t5
