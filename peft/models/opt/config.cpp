#include "peft/models/opt/config.h"

#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft::opt {

OPTConfig OPTConfig::from_json(const Json& config) {
  const ConfigReader reader(config, "config.json");
  OPTConfig c;
  c.vocab_size = reader.size("vocab_size", c.vocab_size);
  c.hidden_size = reader.size("hidden_size", c.hidden_size);
  c.num_hidden_layers = reader.size("num_hidden_layers", c.num_hidden_layers);
  c.num_attention_heads = reader.size("num_attention_heads", c.num_attention_heads);
  c.ffn_dim = reader.size("ffn_dim", c.ffn_dim);
  c.max_position_embeddings = reader.size("max_position_embeddings", c.max_position_embeddings);
  c.word_embed_proj_dim = reader.size("word_embed_proj_dim", c.hidden_size);
  c.activation = read_activation(reader, "activation_function", "relu");
  c.dropout = reader.probability("dropout", c.dropout);
  c.attention_dropout = reader.probability("attention_dropout", c.attention_dropout);
  c.layerdrop = reader.probability("layerdrop", c.layerdrop);
  c.enable_bias = reader.flag("enable_bias", true);
  c.layer_norm_elementwise_affine = reader.flag("layer_norm_elementwise_affine", true);
  c.do_layer_norm_before = reader.flag("do_layer_norm_before", true);
  // Checkpoints that were tuned with an early transformers have none.
  c.final_layer_norm = c.do_layer_norm_before && !reader.flag("_remove_final_layer_norm", false);
  check_model_sizes(reader, c.num_hidden_layers,
                    {{c.vocab_size, c.word_embed_proj_dim},
                     {c.word_embed_proj_dim, c.hidden_size},
                     {c.max_position_embeddings, c.hidden_size},
                     {c.ffn_dim, c.hidden_size},
                     {c.hidden_size, c.hidden_size}});
  if (c.hidden_size % c.num_attention_heads != 0) {
    throw ConfigError(
        fmt::format("config.json: hidden_size: expected a multiple of num_attention_heads ({}), "
                    "got {}.",
                    c.num_attention_heads, c.hidden_size));
  }
  return c;
}

}  // namespace peft::opt
