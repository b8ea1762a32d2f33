#include "peft/models/bert/config.h"

#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft::bert {
namespace {

constexpr auto kWhere = "config.json";

void read_sizes(BertConfig& c, const ConfigReader& reader) {
  c.vocab_size = reader.size("vocab_size", reader.text("model_type") == "roberta" ? 50265 : 30522);
  c.hidden_size = reader.size("hidden_size", 768);
  c.intermediate_size = reader.size("intermediate_size", 3072);
  c.num_hidden_layers = reader.size("num_hidden_layers", 12);
  c.num_attention_heads = reader.size("num_attention_heads", 12);
  c.max_position_embeddings = reader.size("max_position_embeddings", 512);
  c.type_vocab_size = reader.size("type_vocab_size", 2);
  c.num_labels = read_num_labels(reader);
  check_model_sizes(reader, c.num_hidden_layers,
                    {{c.vocab_size, c.hidden_size},
                     {c.intermediate_size, c.hidden_size},
                     {c.max_position_embeddings, c.hidden_size},
                     {c.type_vocab_size, c.hidden_size},
                     {c.num_labels, c.hidden_size},
                     {c.hidden_size, c.hidden_size}});
  if (c.hidden_size % c.num_attention_heads != 0) {
    throw ConfigError(
        fmt::format("{}: hidden_size: expected a multiple of num_attention_heads ({}), got {}.",
                    kWhere, c.num_attention_heads, c.hidden_size));
  }
}

void read_options(BertConfig& c, const ConfigReader& reader) {
  c.layer_norm_eps = reader.number("layer_norm_eps", 1e-12);
  c.hidden_dropout = reader.probability("hidden_dropout_prob", 0.1);
  c.attention_dropout = reader.probability("attention_probs_dropout_prob", 0.1);
  c.classifier_dropout = reader.probability("classifier_dropout", c.hidden_dropout);
  c.hidden_act = read_activation(reader, "hidden_act", "gelu");
  c.pad_token_id = read_padding(reader, c.is_roberta ? 1 : 0, c.vocab_size);
  if (c.is_roberta && !c.pad_token_id) {
    throw ConfigError(fmt::format(
        "{}: pad_token_id: expected the number of a token, which positions are counted from, got "
        "null. Compare it with the checkpoint's own config.json.",
        kWhere));
  }
}

void refuse_what_is_missing(const ConfigReader& reader) {
  if (reader.flag("is_decoder", false) || reader.flag("add_cross_attention", false)) {
    throw UnsupportedError(fmt::format(
        "{}: is_decoder, add_cross_attention: expected an encoder, got a decoder. Choose a model "
        "without them.",
        kWhere));
  }
  const auto positions = reader.text("position_embedding_type", "absolute");
  if (positions != "absolute") {
    throw UnsupportedError(fmt::format(
        "{}: position_embedding_type: expected absolute, got {}, which transformers dropped. "
        "Choose a model with absolute positions.",
        kWhere, positions));
  }
}

}  // namespace

BertConfig BertConfig::from_json(const Json& config) {
  const ConfigReader reader(config, kWhere);
  refuse_what_is_missing(reader);
  BertConfig c;
  c.is_roberta = reader.text("model_type") != "bert";
  read_sizes(c, reader);
  read_options(c, reader);
  return c;
}

}  // namespace peft::bert
