#include "peft/models/gpt2/config.h"

#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft::gpt2 {
namespace {

constexpr auto kWhere = "config.json";

void check(const GPT2Config& c, const ConfigReader& reader) {
  check_model_sizes(reader, c.n_layer,
                    {{c.vocab_size, c.n_embd},
                     {c.n_positions, c.n_embd},
                     {c.n_inner, c.n_embd},
                     {3, c.n_embd, c.n_embd}});
  if (c.n_embd % c.n_head != 0) {
    throw ConfigError(fmt::format("{}: n_embd: expected a multiple of n_head ({}), got {}.", kWhere,
                                  c.n_head, c.n_embd));
  }
  if (reader.flag("add_cross_attention", false)) {
    throw UnsupportedError(fmt::format(
        "{}: add_cross_attention: expected false, got true. GPT-2 is a decoder of its own here; "
        "choose an encoder-decoder as base model.",
        kWhere));
  }
}

}  // namespace

GPT2Config GPT2Config::from_json(const Json& config) {
  const ConfigReader reader(config, kWhere);
  GPT2Config c;
  // The names of other families mean the same.
  const auto size = [&](const char* key, const char* other, int64_t fallback) {
    return reader.size(key, reader.size(other, fallback));
  };
  c.vocab_size = reader.size("vocab_size", c.vocab_size);
  c.n_positions = size("n_positions", "max_position_embeddings", c.n_positions);
  c.n_embd = size("n_embd", "hidden_size", c.n_embd);
  c.n_layer = size("n_layer", "num_hidden_layers", c.n_layer);
  c.n_head = size("n_head", "num_attention_heads", c.n_head);
  c.n_inner = reader.size("n_inner", 4 * c.n_embd);
  c.activation = read_activation(reader, "activation_function", "gelu_new");
  c.resid_pdrop = reader.probability("resid_pdrop", c.resid_pdrop);
  c.embd_pdrop = reader.probability("embd_pdrop", c.embd_pdrop);
  c.attn_pdrop = reader.probability("attn_pdrop", c.attn_pdrop);
  c.layer_norm_epsilon = reader.number("layer_norm_epsilon", c.layer_norm_epsilon);
  c.scale_attn_weights = reader.flag("scale_attn_weights", true);
  c.scale_attn_by_inverse_layer_idx = reader.flag("scale_attn_by_inverse_layer_idx", false);
  check(c, reader);
  return c;
}

}  // namespace peft::gpt2
