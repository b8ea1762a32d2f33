#include "peft/models/distilbert/config.h"

#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft::distilbert {
namespace {

constexpr auto kWhere = "config.json";

int64_t renamed_size(const ConfigReader& reader, const std::string& key, const std::string& common,
                     int64_t fallback) {
  return reader.size(key, reader.size(common, fallback));
}

}  // namespace

DistilBertConfig DistilBertConfig::from_json(const Json& config) {
  const ConfigReader reader(config, kWhere);
  DistilBertConfig c;
  c.vocab_size = reader.size("vocab_size", 30522);
  c.hidden_size = renamed_size(reader, "dim", "hidden_size", 768);
  c.intermediate_size = reader.size("hidden_dim", 3072);
  c.num_hidden_layers = renamed_size(reader, "n_layers", "num_hidden_layers", 6);
  c.num_attention_heads = renamed_size(reader, "n_heads", "num_attention_heads", 12);
  c.max_position_embeddings = reader.size("max_position_embeddings", 512);
  c.num_labels = read_num_labels(reader);
  check_model_sizes(reader, c.num_hidden_layers,
                    {{c.vocab_size, c.hidden_size},
                     {c.intermediate_size, c.hidden_size},
                     {c.max_position_embeddings, c.hidden_size},
                     {c.num_labels, c.hidden_size},
                     {c.hidden_size, c.hidden_size}});
  if (c.hidden_size % c.num_attention_heads != 0) {
    throw ConfigError(fmt::format("{}: dim: expected a multiple of n_heads ({}), got {}.", kWhere,
                                  c.num_attention_heads, c.hidden_size));
  }
  c.pad_token_id = read_padding(reader, 0, c.vocab_size);
  c.sinusoidal_positions = reader.flag("sinusoidal_pos_embds", false);
  c.dropout = reader.probability("dropout", 0.1);
  c.attention_dropout = reader.probability("attention_dropout", 0.1);
  c.qa_dropout = reader.probability("qa_dropout", 0.1);
  c.classifier_dropout = reader.probability("seq_classif_dropout", 0.2);
  c.activation = read_activation(reader, "activation", "gelu");
  return c;
}

}  // namespace peft::distilbert
