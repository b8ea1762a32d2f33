#pragma once

#include <optional>

#include "peft/models/common/activation.h"

namespace peft::distilbert {

/// The settings of one model, by transformers' common names.
/// Source: transformers/models/distilbert/configuration_distilbert.py.
struct DistilBertConfig {
  int64_t vocab_size = 30522;
  int64_t hidden_size = 768;         // dim
  int64_t intermediate_size = 3072;  // hidden_dim
  int64_t num_hidden_layers = 6;     // n_layers
  int64_t num_attention_heads = 12;  // n_heads
  int64_t max_position_embeddings = 512;
  int64_t num_labels = 2;
  std::optional<int64_t> pad_token_id = 0;  // gets no gradient
  bool sinusoidal_positions = false;        // what the position embeddings begin as
  double dropout = 0.1;
  double attention_dropout = 0.1;
  double qa_dropout = 0.1;
  double classifier_dropout = 0.2;  // seq_classif_dropout
  Activation activation = nullptr;

  /// Reads config.json in its own spelling or the common one.
  /// Throws: ConfigError (a key that is missing or out of range), UnsupportedError (activation).
  static DistilBertConfig from_json(const Json& config);
};

}  // namespace peft::distilbert
