#include "peft/models/t5/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "peft/base/error.h"

namespace peft::t5 {
namespace {

constexpr auto kWhere = "config.json";

void read_sizes(T5Config& c, const ConfigReader& reader, bool multilingual) {
  c.vocab_size = reader.size("vocab_size", multilingual ? 250112 : 32128);
  c.d_model = reader.size("d_model", 512);
  c.d_kv = reader.size("d_kv", 64);
  c.d_ff = reader.size("d_ff", multilingual ? 1024 : 2048);
  c.num_layers = reader.size("num_layers", multilingual ? 8 : 6);
  c.num_decoder_layers = reader.size("num_decoder_layers", c.num_layers);
  c.num_heads = reader.size("num_heads", multilingual ? 6 : 8);
  c.relative_attention_num_buckets = reader.size("relative_attention_num_buckets", 32);
  c.relative_attention_max_distance = reader.size("relative_attention_max_distance", 128);
}

void check_sizes(const T5Config& c, const ConfigReader& reader) {
  check_model_sizes(reader, std::max(c.num_layers, c.num_decoder_layers),
                    {{c.vocab_size, c.d_model},
                     {c.d_ff, c.d_model},
                     {c.num_heads, c.d_kv, c.d_model},
                     {c.relative_attention_num_buckets, c.num_heads}});
  // Half of the buckets, in the encoder half of each direction's, are for single distances.
  if (c.relative_attention_num_buckets < 4 ||
      c.relative_attention_max_distance <= c.relative_attention_num_buckets / 2) {
    throw ConfigError(fmt::format(
        "{}: relative positions: expected relative_attention_num_buckets of at least 4 and "
        "relative_attention_max_distance above half of them, got {} and {}.",
        kWhere, c.relative_attention_num_buckets, c.relative_attention_max_distance));
  }
}

// "relu", "gated-gelu": an activation, and whether a second product is multiplied with it.
void read_feed_forward(T5Config& c, const ConfigReader& reader, bool multilingual) {
  constexpr std::string_view kGated = "gated-";
  auto word = reader.text("feed_forward_proj", multilingual ? "gated-gelu" : "relu");
  c.gated = word.starts_with(kGated);
  if (word == "gated-gelu") word = "gated-gelu_new";
  const Json named{{"feed_forward_proj", c.gated ? word.substr(kGated.size()) : word}};
  c.activation = read_activation(ConfigReader(named, kWhere), "feed_forward_proj", "relu");
}

// T5EncoderModel, MT5EncoderModel.
bool names_encoder(const Json& config) {
  const auto classes = config.find("architectures");
  return classes != config.end() && classes->is_array() && !classes->empty() &&
         classes->front().is_string() &&
         classes->front().get_ref<const std::string&>().ends_with("EncoderModel");
}

}  // namespace

T5Config T5Config::from_json(const Json& config) {
  const ConfigReader reader(config, kWhere);
  const bool multilingual = reader.text("model_type") == "mt5";
  T5Config c;
  read_sizes(c, reader, multilingual);
  check_sizes(c, reader);
  read_feed_forward(c, reader, multilingual);
  c.dropout_rate = reader.probability("dropout_rate", 0.1);
  c.layer_norm_epsilon = reader.number("layer_norm_epsilon", 1e-6);
  // Models whose head is their own (T5 1.1, mT5) say so here; only the first T5 scales for it.
  const bool tied = reader.flag("tie_word_embeddings", true);
  c.scale_decoder_outputs = !multilingual && reader.flag("scale_decoder_outputs", tied);
  c.own_head = !tied;
  c.encoder_only = names_encoder(config);
  c.num_labels = read_num_labels(reader);
  c.classifier_dropout = reader.probability("classifier_dropout", 0.0);
  c.pad_token_id = reader.token_id("pad_token_id", 0);
  c.decoder_start_token_id = reader.token_id(
      "decoder_start_token_id", multilingual ? std::optional<int64_t>(0) : std::nullopt);
  return c;
}

}  // namespace peft::t5
