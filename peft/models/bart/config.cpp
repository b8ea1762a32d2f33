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
          .layerdrop = reader.number(side + "_layerdrop", 0.0)};
}

void check_stack(const BartConfig& c, const StackConfig& stack, const char* side) {
  if (c.d_model % stack.heads != 0) {
    throw ConfigError(fmt::format(
        "{}: {}_attention_heads: expected a divisor of d_model ({}), got {}.", kWhere, side,
        c.d_model, stack.heads));
  }
  constexpr int64_t kLargestWeight = int64_t{1} << 40;
  if (c.vocab_size * c.d_model > kLargestWeight || stack.inner * c.d_model > kLargestWeight ||
      c.max_position_embeddings * c.d_model > kLargestWeight || stack.layers > 100000) {
    throw ConfigError(fmt::format("{}: sizes: expected a model that fits a computer, got d_model "
                                  "{}, vocab_size {}, {}_ffn_dim {}.",
                                  kWhere, c.d_model, c.vocab_size, side, stack.inner));
  }
}

int64_t read_labels(const ConfigReader& reader) {
  if (!reader.has("id2label")) return reader.size("num_labels", 3);
  const auto& names = reader.json().at("id2label");
  if (names.is_object() && !names.empty()) return static_cast<int64_t>(names.size());
  throw ConfigError(fmt::format("{}: id2label: expected a name for each label, got {}.", kWhere,
                                names.dump().substr(0, 100)));
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
  check_stack(c, c.encoder, "encoder");
  check_stack(c, c.decoder, "decoder");
  c.activation = read_activation(reader, "activation_function", "gelu");
  c.dropout = reader.number("dropout", 0.1);
  c.attention_dropout = reader.number("attention_dropout", 0.0);
  c.activation_dropout = reader.number("activation_dropout", 0.0);
  c.classifier_dropout = reader.number("classifier_dropout", 0.0);
  c.scale_embedding = reader.flag("scale_embedding", false);
  c.tie_word_embeddings = reader.flag("tie_word_embeddings", true);
  c.num_labels = read_labels(reader);
  c.pad_token_id = reader.token_id("pad_token_id", 1);
  c.eos_token_id = reader.token_id("eos_token_id", 2);
  c.decoder_start_token_id = reader.token_id("decoder_start_token_id", 2);
  return c;
}

}  // namespace peft::bart
