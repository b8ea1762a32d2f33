#include "peft/models/bart/config.h"

#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft::bart {
namespace {

constexpr auto kWhere = "config.json";

StackConfig read_stack(const ConfigReader& reader, const std::string& side) {
  return {.layers = reader.size(side + "_layers", 12),
          .heads = reader.size(side + "_attention_heads", 16),
          .inner = reader.size(side + "_ffn_dim", 4096),
          .layerdrop = reader.probability(side + "_layerdrop", 0.0)};
}

void check_stack(const BartConfig& c, const StackConfig& stack, const ConfigReader& reader,
                 const char* side) {
  if (c.d_model % stack.heads != 0) {
    throw ConfigError(
        fmt::format("{}: {}_attention_heads: expected a divisor of d_model ({}), got {}.", kWhere,
                    side, c.d_model, stack.heads));
  }
  check_model_sizes(reader, stack.layers,
                    {{c.vocab_size, c.d_model},
                     {c.d_model, c.d_model},
                     {stack.inner, c.d_model},
                     {c.max_position_embeddings, c.d_model}});
}

}  // namespace

BartConfig BartConfig::from_json(const Json& config) {
  const ConfigReader reader(config, kWhere);
  BartConfig c;
  c.vocab_size = reader.size("vocab_size", 50265);
  c.d_model = reader.size("d_model", 1024);
  c.max_position_embeddings = reader.size("max_position_embeddings", 1024);
  c.encoder = read_stack(reader, "encoder");
  c.decoder = read_stack(reader, "decoder");
  check_stack(c, c.encoder, reader, "encoder");
  check_stack(c, c.decoder, reader, "decoder");
  c.activation = read_activation(reader, "activation_function", "gelu");
  c.dropout = reader.probability("dropout", 0.1);
  c.attention_dropout = reader.probability("attention_dropout", 0.0);
  c.activation_dropout = reader.probability("activation_dropout", 0.0);
  c.scale_embedding = reader.flag("scale_embedding", false);
  c.tie_word_embeddings = reader.flag("tie_word_embeddings", true);
  c.num_labels = read_num_labels(reader, 3);
  c.pad_token_id = read_padding(reader, 1, c.vocab_size);
  c.eos_token_id = reader.token_id("eos_token_id", 2);
  c.decoder_start_token_id = reader.token_id("decoder_start_token_id", 2);
  return c;
}

}  // namespace peft::bart
