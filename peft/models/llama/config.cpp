#include "peft/models/llama/config.h"

#include <fmt/format.h>

#include <map>

#include "peft/base/error.h"

namespace peft::llama {
namespace {

constexpr auto kWhere = "config.json";

// What a model type assumes where config.json is silent.
struct Defaults {
  int64_t vocab_size, hidden_size, intermediate_size, key_value_heads, max_positions, head_dim;
};

// key_value_heads 0: as many as attention heads; head_dim 0: hidden_size / num_attention_heads.
const std::map<std::string, Defaults> kDefaults = {
    {"llama", {32000, 4096, 11008, 0, 2048, 0}},
    {"mistral", {32000, 4096, 14336, 8, 4096 * 32, 0}},
    {"qwen2", {151936, 4096, 22016, 32, 32768, 0}},
    {"qwen3", {151936, 4096, 22016, 32, 32768, 128}},
};

void read_sizes(LlamaConfig& c, const ConfigReader& reader) {
  const auto& defaults = kDefaults.at(c.model_type);
  c.vocab_size = reader.size("vocab_size", defaults.vocab_size);
  c.hidden_size = reader.size("hidden_size", defaults.hidden_size);
  c.intermediate_size = reader.size("intermediate_size", defaults.intermediate_size);
  c.num_hidden_layers = reader.size("num_hidden_layers", 32);
  c.num_attention_heads = reader.size("num_attention_heads", 32);
  const bool null_heads = reader.json().contains("num_key_value_heads");
  const auto heads = null_heads || defaults.key_value_heads == 0 ? c.num_attention_heads
                                                                 : defaults.key_value_heads;
  c.num_key_value_heads = reader.size("num_key_value_heads", heads);
  const bool null_width = reader.json().contains("head_dim") || defaults.head_dim == 0;
  if (null_width && !reader.has("head_dim") && c.hidden_size % c.num_attention_heads != 0) {
    throw ConfigError(fmt::format(
        "{}: hidden_size: expected a multiple of num_attention_heads ({}), got {}. Give head_dim.",
        kWhere, c.num_attention_heads, c.hidden_size));
  }
  c.head_dim = reader.size("head_dim",
                           null_width ? c.hidden_size / c.num_attention_heads : defaults.head_dim);
  c.max_position_embeddings = reader.size("max_position_embeddings", defaults.max_positions);
}

void check_sizes(const LlamaConfig& c) {
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    throw ConfigError(fmt::format(
        "{}: num_key_value_heads: expected a divisor of num_attention_heads ({}), got {}.", kWhere,
        c.num_attention_heads, c.num_key_value_heads));
  }
  if (c.head_dim % 2 != 0) {
    throw ConfigError(
        fmt::format("{}: head_dim: expected an even number, got {}.", kWhere, c.head_dim));
  }
  // Sizes are below 2^31 each, so these products do not overflow; the bound keeps sums of them
  // sane.
  constexpr int64_t kLargestWeight = int64_t{1} << 40;
  if (c.vocab_size * c.hidden_size > kLargestWeight ||
      c.intermediate_size * c.hidden_size > kLargestWeight || c.num_hidden_layers > 100000 ||
      c.num_attention_heads * c.head_dim > (int64_t{1} << 31)) {
    throw ConfigError(
        fmt::format("{}: sizes: expected a model that fits a computer, got "
                    "hidden_size {}, vocab_size {}, intermediate_size {}.",
                    kWhere, c.hidden_size, c.vocab_size, c.intermediate_size));
  }
}

// Mistral: one window for every layer. Qwen: by layer_types, or from max_window_layers on.
std::vector<int64_t> read_windows(const LlamaConfig& c, const ConfigReader& reader) {
  std::vector<int64_t> windows(static_cast<size_t>(c.num_hidden_layers), 0);
  if (c.model_type == "llama") return windows;
  const bool null_window =
      reader.json().contains("sliding_window") && !reader.has("sliding_window");
  int64_t window = null_window ? 0 : reader.size("sliding_window", 4096);
  if (c.model_type == "mistral") {
    windows.assign(windows.size(), window);
    return windows;
  }
  if (!reader.flag("use_sliding_window", false)) window = 0;
  if (!reader.has("layer_types")) {
    const auto& json = reader.json();
    // Zero is a sensible value here: every layer has a window.
    const bool zero = json.contains("max_window_layers") && json.at("max_window_layers") == 0;
    const auto first = zero ? 0 : reader.size("max_window_layers", 28);
    for (auto i = first; i < c.num_hidden_layers; ++i) windows[static_cast<size_t>(i)] = window;
    return windows;
  }
  const auto& types = reader.json().at("layer_types");
  if (!types.is_array() || types.size() != windows.size()) {
    throw ConfigError(fmt::format("{}: layer_types: expected a list of {} names, got {} entries.",
                                  kWhere, windows.size(), types.size()));
  }
  for (size_t i = 0; i < windows.size(); ++i) {
    const bool sliding = types[i] == "sliding_attention";
    if (!sliding && types[i] != "full_attention") {
      throw ConfigError(
          fmt::format("{}: layer_types: expected full_attention or sliding_attention, "
                      "got {} for layer {}.",
                      kWhere, types[i].dump(), i));
    }
    if (sliding && window == 0) {
      throw ConfigError(
          fmt::format("{}: layer_types: layer {} slides, but there is no window. Set "
                      "use_sliding_window and sliding_window.",
                      kWhere, i));
    }
    windows[i] = sliding ? window : 0;
  }
  return windows;
}

void read_options(LlamaConfig& c, const ConfigReader& reader) {
  c.rms_norm_eps = reader.number("rms_norm_eps", 1e-6);
  c.attention_dropout = reader.number("attention_dropout", 0.0);
  c.tie_word_embeddings = reader.flag("tie_word_embeddings", false);
  const bool bias = c.model_type == "llama" || c.model_type == "qwen3"
                        ? reader.flag("attention_bias", false)
                        : false;
  c.qkv_bias = c.model_type == "qwen2" || bias;
  c.output_bias = bias;
  c.mlp_bias = c.model_type == "llama" && reader.flag("mlp_bias", false);
  c.qk_norm = c.model_type == "qwen3";
  c.hidden_act = reader.text("hidden_act", "silu");
  if (c.hidden_act == "swish") c.hidden_act = "silu";
  if (c.hidden_act != "silu" && c.hidden_act != "gelu" && c.hidden_act != "gelu_pytorch_tanh" &&
      c.hidden_act != "relu") {
    throw UnsupportedError(
        fmt::format("{}: hidden_act: expected silu, gelu, gelu_pytorch_tanh or "
                    "relu, got {}.",
                    kWhere, c.hidden_act));
  }
}

}  // namespace

LlamaConfig LlamaConfig::from_json(const Json& config) {
  const ConfigReader reader(config, kWhere);
  LlamaConfig c;
  c.model_type = reader.text("model_type");
  if (!kDefaults.contains(c.model_type)) {
    throw UnsupportedError(fmt::format(
        "{}: model_type: expected llama, mistral, qwen2 or qwen3, got {}.", kWhere, c.model_type));
  }
  read_sizes(c, reader);
  check_sizes(c);
  read_options(c, reader);
  c.windows = read_windows(c, reader);
  c.rope = RopeParameters::from_config(reader, c.max_position_embeddings);
  if (c.rope.rope_type != "default" && c.rope.partial_rotary_factor != 1.0) {
    throw UnsupportedError(
        fmt::format("{}: partial_rotary_factor: expected 1 for this family, got {}.", kWhere,
                    c.rope.partial_rotary_factor));
  }
  return c;
}

}  // namespace peft::llama
