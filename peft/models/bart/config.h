#pragma once

#include <optional>

#include "peft/models/common/activation.h"

namespace peft::bart {

/// Sizes of the encoder's or the decoder's layers.
struct StackConfig {
  int64_t layers = 12, heads = 16, inner = 4096;
  double layerdrop = 0.0;  // chance of leaving a layer out, in training
};

/// The settings of one model.
/// Source: transformers/models/bart/configuration_bart.py.
struct BartConfig {
  int64_t vocab_size = 50265;
  int64_t d_model = 1024;
  int64_t max_position_embeddings = 1024;
  StackConfig encoder = {}, decoder = {};
  Activation activation = nullptr;
  double dropout = 0.1;
  double attention_dropout = 0.0;
  double activation_dropout = 0.0;
  bool scale_embedding = false;
  bool tie_word_embeddings = true;
  int64_t num_labels = 3;
  std::optional<int64_t> pad_token_id = 1;
  std::optional<int64_t> eos_token_id = 2;
  std::optional<int64_t> decoder_start_token_id = 2;

  /// Throws: ConfigError (a key that is out of range), UnsupportedError (an activation that is not
  /// known).
  static BartConfig from_json(const Json& config);
};

}  // namespace peft::bart
