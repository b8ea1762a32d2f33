#include "peft/models/gpt_neox/config.h"

#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft::gpt_neox {
namespace {

constexpr auto kWhere = "config.json";

// The settings of rotary positions under the names that other families give them.
Json with_common_names(const Json& config, const ConfigReader& reader) {
  auto json = config;
  json["rope_theta"] = reader.number("rotary_emb_base", reader.number("rope_theta", 10000.0));
  json["partial_rotary_factor"] =
      reader.number("rotary_pct", reader.number("partial_rotary_factor", 0.25));
  return json;
}

void read_rotary(GPTNeoXConfig& c, const Json& config, const ConfigReader& reader) {
  const auto common = with_common_names(config, reader);
  c.rope = RopeParameters::from_config(ConfigReader(common, kWhere),
                                       reader.size("max_position_embeddings", 2048));
  const double part = c.rope.partial_rotary_factor;
  if (part >= 0.0 && part <= 1.0) {
    c.rotary_dims = static_cast<int64_t>(static_cast<double>(c.head_dim()) * part);
    if (c.rotary_dims >= 2 && c.rotary_dims % 2 == 0) return;
  }
  throw ConfigError(
      fmt::format("{}: rotary_pct: expected a part of a head's {} numbers that is even and not "
                  "zero, got {}.",
                  kWhere, c.head_dim(), part));
}

}  // namespace

GPTNeoXConfig GPTNeoXConfig::from_json(const Json& config) {
  const ConfigReader reader(config, kWhere);
  GPTNeoXConfig c;
  c.vocab_size = reader.size("vocab_size", c.vocab_size);
  c.hidden_size = reader.size("hidden_size", c.hidden_size);
  c.num_hidden_layers = reader.size("num_hidden_layers", c.num_hidden_layers);
  c.num_attention_heads = reader.size("num_attention_heads", c.num_attention_heads);
  c.intermediate_size = reader.size("intermediate_size", c.intermediate_size);
  c.activation = read_activation(reader, "hidden_act", "gelu");
  c.attention_dropout = reader.probability("attention_dropout", c.attention_dropout);
  c.hidden_dropout = reader.probability("hidden_dropout", c.hidden_dropout);
  c.layer_norm_eps = reader.number("layer_norm_eps", c.layer_norm_eps);
  c.use_parallel_residual = reader.flag("use_parallel_residual", true);
  c.attention_bias = reader.flag("attention_bias", true);
  check_model_sizes(reader, c.num_hidden_layers,
                    {{c.vocab_size, c.hidden_size},
                     {c.intermediate_size, c.hidden_size},
                     {3, c.hidden_size, c.hidden_size}});
  if (c.hidden_size % c.num_attention_heads != 0) {
    throw ConfigError(
        fmt::format("{}: hidden_size: expected a multiple of num_attention_heads ({}), got {}.",
                    kWhere, c.num_attention_heads, c.hidden_size));
  }
  read_rotary(c, config, reader);
  return c;
}

}  // namespace peft::gpt_neox
