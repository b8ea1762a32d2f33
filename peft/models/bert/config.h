#pragma once

#include <optional>

#include "peft/models/common/activation.h"

namespace peft::bert {

/// The settings of one model of the family, with the differences between its model types resolved.
/// Source: transformers/models/{bert,roberta,xlm_roberta,camembert}/configuration_*.py.
struct BertConfig {
  /// roberta and its kin: positions are counted from the padding's number on, and the classifier of
  /// sequences has a layer of its own in place of the pooler.
  bool is_roberta = false;
  int64_t vocab_size = 30522;
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t max_position_embeddings = 512;
  int64_t type_vocab_size = 2;
  int64_t num_labels = 2;
  std::optional<int64_t> pad_token_id = 0;  // gets no gradient; always there for roberta
  double layer_norm_eps = 1e-12;
  double hidden_dropout = 0.1;
  double attention_dropout = 0.1;
  double classifier_dropout = 0.1;
  Activation hidden_act = nullptr;

  /// Throws: ConfigError (a key that is missing or out of range), UnsupportedError (activation,
  /// decoders, relative positions).
  static BertConfig from_json(const Json& config);
};

}  // namespace peft::bert
