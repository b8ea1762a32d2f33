#include "peft/models/vit/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "peft/base/error.h"

namespace peft::vit {
namespace {

constexpr auto kWhere = "config.json";

// One number for both sides, or a list of two.
std::array<int64_t, 2> read_sides(const ConfigReader& reader, const std::string& key,
                                  int64_t fallback) {
  if (!reader.has(key) || !reader.json().at(key).is_array()) {
    const auto side = reader.size(key, fallback);
    return {side, side};
  }
  const auto& sides = reader.json().at(key);
  if (sides.size() != 2) {
    throw ConfigError(fmt::format("{}: {}: expected a number or a list of two, got {} entries.",
                                  kWhere, key, sides.size()));
  }
  const Json named = {{"height", sides[0]}, {"width", sides[1]}};
  const ConfigReader side(named, fmt::format("{}: {}", kWhere, key));
  return {side.size("height"), side.size("width")};
}

void check_sizes(const ViTConfig& c, const ConfigReader& reader) {
  const auto [rows, columns] = c.patches();
  if (rows == 0 || columns == 0) {
    throw ConfigError(
        fmt::format("{}: patch_size: expected at most image_size ({} x {}), got {} x {}.", kWhere,
                    c.image_size[0], c.image_size[1], c.patch_size[0], c.patch_size[1]));
  }
  check_model_sizes(reader, c.num_hidden_layers,
                    {{rows, columns, c.hidden_size},
                     {c.patch_size[0], c.patch_size[1], c.num_channels, c.hidden_size},
                     {c.intermediate_size, c.hidden_size},
                     {c.num_attention_heads, c.head_dim, c.hidden_size},
                     {c.pooler_output_size, c.hidden_size},
                     {c.num_labels, c.hidden_size}});
}

}  // namespace

ViTConfig ViTConfig::from_json(const Json& config) {
  const ConfigReader reader(config, kWhere);
  ViTConfig c;
  c.hidden_size = reader.size("hidden_size", 768);
  c.intermediate_size = reader.size("intermediate_size", 3072);
  c.num_hidden_layers = reader.size("num_hidden_layers", 12);
  c.num_attention_heads = reader.size("num_attention_heads", 12);
  c.head_dim = reader.size("head_dim", std::max<int64_t>(1, c.hidden_size / c.num_attention_heads));
  c.num_channels = reader.size("num_channels", 3);
  c.pooler_output_size = reader.size("pooler_output_size", c.hidden_size);
  c.num_labels = read_num_labels(reader);
  c.image_size = read_sides(reader, "image_size", 224);
  c.patch_size = read_sides(reader, "patch_size", 16);
  check_sizes(c, reader);
  c.qkv_bias = reader.flag("qkv_bias", true);
  c.layer_norm_eps = reader.number("layer_norm_eps", 1e-12);
  c.hidden_dropout = reader.probability("hidden_dropout_prob", 0.0);
  c.attention_dropout = reader.probability("attention_probs_dropout_prob", 0.0);
  c.hidden_act = read_activation(reader, "hidden_act", "gelu");
  c.pooler_act = read_activation(reader, "pooler_act", "tanh");
  return c;
}

}  // namespace peft::vit
