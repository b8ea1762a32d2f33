#include "peft/formats/gguf_names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace peft::formats {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array kOutside{
    Pair{"token_embd", "model.embed_tokens"},
    Pair{"output_norm", "model.norm"},
    Pair{"output", "lm_head"},
};

constexpr std::array kInside{
    Pair{"attn_norm", "input_layernorm"},    Pair{"ffn_norm", "post_attention_layernorm"},
    Pair{"attn_q", "self_attn.q_proj"},      Pair{"attn_k", "self_attn.k_proj"},
    Pair{"attn_v", "self_attn.v_proj"},      Pair{"attn_output", "self_attn.o_proj"},
    Pair{"attn_q_norm", "self_attn.q_norm"}, Pair{"attn_k_norm", "self_attn.k_norm"},
    Pair{"ffn_gate", "mlp.gate_proj"},       Pair{"ffn_up", "mlp.up_proj"},
    Pair{"ffn_down", "mlp.down_proj"},
};

constexpr std::array kConfigKeys{
    Pair{"context_length", "max_position_embeddings"},
    Pair{"block_count", "num_hidden_layers"},
    Pair{"feed_forward_length", "intermediate_size"},
    Pair{"embedding_length", "hidden_size"},
    Pair{"rope.freq_base", "rope_theta"},
    Pair{"attention.head_count", "num_attention_heads"},
    Pair{"attention.head_count_kv", "num_key_value_heads"},
    Pair{"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    Pair{"vocab_size", "vocab_size"},
};

constexpr std::array kTokenIds{
    Pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
    Pair{"tokenizer.ggml.eos_token_id", "eos_token_id"},
    Pair{"tokenizer.ggml.unknown_token_id", "unk_token_id"},
    Pair{"tokenizer.ggml.padding_token_id", "pad_token_id"},
};

template <size_t N>
std::optional<std::string_view> look_up(const std::array<Pair, N>& table, std::string_view key) {
  for (const auto& [from, to] : table) {
    if (from == key) return to;
  }
  return std::nullopt;
}

std::string text_or_empty(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool has_tensor(const GgufHeader& header, std::string_view name) {
  return std::any_of(header.tensors().begin(), header.tensors().end(),
                     [&](const GgufTensor& tensor) { return tensor.name == name; });
}

/// The architectures whose tensors are named and ordered as these tables say.
std::string_view class_name(std::string_view model_type) {
  constexpr std::array kClasses{
      Pair{"llama", "LlamaForCausalLM"},
      Pair{"mistral", "MistralForCausalLM"},
      Pair{"qwen2", "Qwen2ForCausalLM"},
      Pair{"qwen3", "Qwen3ForCausalLM"},
  };
  return look_up(kClasses, model_type).value_or(std::string_view());
}

void add_rope_scaling(const GgufHeader& header, const std::string& prefix, Json& config) {
  const std::string type = text_or_empty(header.json(prefix + "rope.scaling.type"));
  if (type != "linear" && type != "yarn") return;
  Json scaling = {{"rope_type", type}};
  const auto copy = [&](const char* from, const char* to) {
    const Json value = header.json(prefix + "rope.scaling." + from);
    if (value.is_number()) scaling[to] = value;
  };
  copy("factor", "factor");
  copy("original_context_length", "original_max_position_embeddings");
  if (type == "yarn") {
    copy("yarn_beta_fast", "beta_fast");
    copy("yarn_beta_slow", "beta_slow");
  }
  config["rope_scaling"] = std::move(scaling);
}

void add_head_dim(const GgufHeader& header, const std::string& prefix, Json& config) {
  const std::string& type = config["model_type"].get_ref<const std::string&>();
  Json width = header.json(prefix + "attention.key_length");
  // Only there is it sure that the whole head is rotated.
  if (width.is_null() && (type == "llama" || type == "mistral")) {
    width = header.json(prefix + "rope.dimension_count");
  }
  if (!width.is_null()) config["head_dim"] = width;
}

}  // namespace

std::string transformers_name(std::string_view gguf_name) {
  const size_t dot = gguf_name.rfind('.');
  if (dot == std::string_view::npos) return std::string(gguf_name);
  const std::string_view stem = gguf_name.substr(0, dot), suffix = gguf_name.substr(dot);
  if (const auto outside = look_up(kOutside, stem)) {
    return std::string(*outside).append(suffix);
  }
  constexpr std::string_view kBlock = "blk.";
  const size_t end = stem.find('.', kBlock.size());
  if (!stem.starts_with(kBlock) || end == std::string_view::npos) return std::string(gguf_name);
  const std::string_view number = stem.substr(kBlock.size(), end - kBlock.size());
  const auto inside = look_up(kInside, stem.substr(end + 1));
  if (!inside) return std::string(gguf_name);
  return std::string("model.layers.").append(number).append(".").append(*inside).append(suffix);
}

bool is_auxiliary(std::string_view gguf_name) {
  return gguf_name == "rope_freqs.weight" || gguf_name.starts_with("rope_factors_") ||
         gguf_name.ends_with(".attn_rot_embd") || gguf_name.ends_with(".rotary_emb.inv_freq");
}

Json config_from_gguf(const GgufHeader& header) {
  const std::string architecture = text_or_empty(header.json("general.architecture"));
  const std::string name = text_or_empty(header.json("general.name"));
  // llama.cpp calls Mistral's models llama; transformers tells them by this very name.
  const std::string model_type =
      architecture == "llama" && name == "mistral" ? "mistral" : architecture;
  Json config = Json::object();
  if (const std::string_view known = class_name(model_type); !known.empty()) {
    config["architectures"] = Json::array({std::string(known)});
  }
  config["model_type"] = model_type;
  const std::string prefix = architecture + ".";
  for (const auto& [from, to] : kConfigKeys) {
    const Json value = header.json(prefix + std::string(from));
    if (!value.is_null()) config[std::string(to)] = value;
  }
  add_head_dim(header, prefix, config);
  add_rope_scaling(header, prefix, config);
  const uint64_t tokens = header.list_length("tokenizer.ggml.tokens");
  if (!config.contains("vocab_size") && tokens > 0) config["vocab_size"] = tokens;
  const Json window = header.json(prefix + "attention.sliding_window");
  if (!window.is_null()) config["sliding_window"] = window;
  for (const auto& [from, to] : kTokenIds) {
    const Json value = header.json(from);
    if (!value.is_null()) config[std::string(to)] = value;
  }
  config["tie_word_embeddings"] = !has_tensor(header, "output.weight");
  if (architecture == "llama" && has_tensor(header, "blk.0.attn_q.bias")) {
    config["attention_bias"] = true;
  }
  if (architecture == "llama" && has_tensor(header, "blk.0.ffn_gate.bias")) {
    config["mlp_bias"] = true;
  }
  return config;
}

Json generation_config_from_gguf(const GgufHeader& header) {
  Json out = Json::object();
  for (const auto& [from, to] : kTokenIds) {
    const Json value = header.json(from);
    if (!value.is_null() && to != "unk_token_id") out[std::string(to)] = value;
  }
  const Json turn = header.json("tokenizer.ggml.eot_token_id");
  if (!turn.is_null() && out.contains("eos_token_id") && turn != out["eos_token_id"]) {
    out["eos_token_id"] = Json::array({out["eos_token_id"], turn});
  }
  return out;
}

Json tokenizer_config_from_gguf(const GgufHeader& header) {
  Json out = Json::object();
  const auto copy = [&](const char* from, const char* to) {
    const Json value = header.json(from);
    if (!value.is_null()) out[to] = value;
  };
  copy("tokenizer.ggml.add_bos_token", "add_bos_token");
  copy("tokenizer.ggml.add_eos_token", "add_eos_token");
  for (const auto& [from, to] : kTokenIds) {
    const Json id = header.json(from);
    if (!id.is_number_unsigned()) continue;
    const auto token = header.list_string("tokenizer.ggml.tokens", id.get<uint64_t>());
    if (token)
      out[std::string(to.substr(0, to.size() - 3))] = *token;  // "bos_token_id" -> "bos_token"
  }
  copy("tokenizer.chat_template", "chat_template");
  return out;
}

}  // namespace peft::formats
