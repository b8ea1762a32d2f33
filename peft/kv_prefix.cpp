#include "peft/kv_prefix.h"

#include <ATen/ATen.h>

#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/methods/cartridge/config.h"
#include "peft/methods/prefix_tuning/config.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

struct Prefix {
  BasePromptEncoder* encoder;
  int64_t tokens;
};

// The prefix that is to be filled.
Prefix prefix_to_fill(const PeftModelForCausalLM& model, const KvPrefixOptions& options) {
  const std::string name = options.adapter_name ? *options.adapter_name : model.active_adapter();
  const PeftConfig& config = model.peft_config(name);
  if (!model.tuner().is_prompt_learning() || !model.tuner().method().prompt_is_cache) {
    throw ConfigError("adapter '" + name +
                      "': expected a CARTRIDGE or PREFIX_TUNING adapter, got " +
                      config.peft_type() + ".");
  }
  if (config.peft_type() == "PREFIX_TUNING" && config.as<PrefixTuningConfig>().prefix_projection) {
    throw UnsupportedError(
        "adapter '" + name +
        "': initialization from KV cache is not supported for prefix tuning with "
        "`prefix_projection=True`: expected a prefix that is learned directly, got one that a "
        "network makes.");
  }
  return {model.tuner().prompts().find(name),
          options.num_virtual_tokens.value_or(**config.shared().num_virtual_tokens)};
}

void check_pair(const std::pair<at::Tensor, at::Tensor>& layer, at::IntArrayRef first,
                int64_t index) {
  for (const at::Tensor& part : {layer.first, layer.second}) {
    if (part.defined() && part.sizes() == first) continue;
    throw ConfigError("past_key_values: layer " + std::to_string(index) +
                      ": expected keys and values of shape " + shape_text(first.vec()) +
                      " as the first layer has, got " +
                      (part.defined() ? shape_text(part.sizes().vec()) : "none") + ".");
  }
}

std::vector<int64_t> ids_of(const ChatTokenizer& tokenizer, const std::string& text,
                            const KvPrefixTextOptions& options) {
  std::vector<int64_t> ids;
  if (options.use_chat_template) {
    try {
      const Json messages = Json::array({{{"role", "system"}, {"content", text}}});
      ids = tokenizer.encode_chat({.messages = messages}).ids;
    } catch (const ConfigError&) {
      // No template, or one that takes no system message alone.
    } catch (const FormatError&) {
    }
  }
  if (ids.empty()) ids = tokenizer.encode(text);
  if (options.max_length && static_cast<int64_t>(ids.size()) > *options.max_length) {
    ids.resize(static_cast<size_t>(std::max<int64_t>(*options.max_length, 0)));
  }
  return ids;
}

void check_fits(const CartridgeConfig& first, const CartridgeConfig& other, const fs::path& path) {
  const auto check = [&](const char* field, const auto& mine, const auto& theirs) {
    if (mine == theirs) return;
    throw ConfigError(path.string() + ": incompatible CARTRIDGE configs for attribute '" + field +
                      "': expected what the first adapter has. Compose cartridges of one model.");
  };
  check("task_type", first.task_type, other.task_type);
  check("token_dim", first.token_dim, other.token_dim);
  check("num_layers", first.num_layers, other.num_layers);
  check("num_attention_heads", first.num_attention_heads, other.num_attention_heads);
  check("num_transformer_submodules", first.num_transformer_submodules,
        other.num_transformer_submodules);
}

}  // namespace

at::Tensor prompt_embeddings_from_past_key_values(const KeyValueCache& past_key_values,
                                                  int64_t num_virtual_tokens) {
  if (past_key_values.layers() == 0 || past_key_values.length() == 0) {
    throw ConfigError(
        "past_key_values: expected the keys and values of tokens, got an empty cache.");
  }
  const at::Tensor first = past_key_values.layer(0).first;
  if (first.size(0) != 1) {
    throw ConfigError("past_key_values: expected a cache of one row (batch=1), got " +
                      std::to_string(first.size(0)) + " rows. Read one text alone.");
  }
  if (num_virtual_tokens < 1 || first.size(2) < num_virtual_tokens) {
    throw ConfigError("past_key_values: expected at least " + std::to_string(num_virtual_tokens) +
                      " cached tokens, got " + std::to_string(first.size(2)) +
                      ". Read a longer text, or set num_virtual_tokens.");
  }
  std::vector<at::Tensor> parts;  // [N, K, H] each
  for (int64_t index = 0; index < past_key_values.layers(); ++index) {
    const auto layer = past_key_values.layer(index);
    check_pair(layer, first.sizes(), index);
    for (const at::Tensor& part : {layer.first, layer.second}) {
      parts.push_back(part[0].narrow(1, 0, num_virtual_tokens).transpose(0, 1));
    }
  }
  return at::stack(parts, 1).reshape({num_virtual_tokens, -1});
}

at::Tensor initialize_kv_prefix_from_past_key_values(PeftModelForCausalLM& model,
                                                     const KeyValueCache& past_key_values,
                                                     const KvPrefixOptions& options) {
  const at::NoGradGuard no_grad;
  const Prefix prefix = prefix_to_fill(model, options);
  const at::Tensor embeddings =
      prompt_embeddings_from_past_key_values(past_key_values, prefix.tokens);
  load_prompt_embeddings(*prefix.encoder, embeddings);
  return embeddings;
}

at::Tensor initialize_kv_prefix_from_text(PeftModelForCausalLM& model,
                                          const ChatTokenizer& tokenizer, const std::string& text,
                                          const KvPrefixTextOptions& options) {
  const at::NoGradGuard no_grad;
  prefix_to_fill(model, options.prefix);
  const at::Tensor ids = at::tensor(ids_of(tokenizer, text, options), at::kLong).unsqueeze(0);
  if (ids.numel() == 0) {
    throw ConfigError("text: expected at least one token, got none. Give a longer text.");
  }
  const auto disabled = model.disable_adapter();
  const LanguageModel base = model.get_base_model();
  const auto cache = base->new_cache();
  base->hidden_states({.input_ids = ids, .cache = cache.get()});
  return initialize_kv_prefix_from_past_key_values(model, *cache, options.prefix);
}

void compose_cartridge_adapters(const std::vector<fs::path>& adapters, const fs::path& output,
                                bool safe_serialization) {
  if (adapters.size() < 2) {
    throw ConfigError("compose_cartridge_adapters: expected at least 2 adapters to compose, got " +
                      std::to_string(adapters.size()) + ".");
  }
  std::vector<CartridgeConfig> configs;
  for (const fs::path& path : adapters) {
    const PeftConfig config = read_adapter_config(path);
    if (config.peft_type() != "CARTRIDGE") {
      throw ConfigError(path.string() + ": expected a CARTRIDGE adapter, got " +
                        config.peft_type() + ".");
    }
    configs.push_back(config.as<CartridgeConfig>());
    check_fits(configs.front(), configs.back(), path);
  }
  std::vector<at::Tensor> prompts;
  for (const fs::path& path : adapters) {
    const StateDict tensors = read_adapter_weights(path);
    const at::Tensor* prompt = tensors.find("prompt_embeddings");
    if (prompt == nullptr || prompt->dim() != 2 ||
        (!prompts.empty() && prompt->size(1) != prompts.front().size(1))) {
      throw MismatchError(path.string() +
                          ": expected prompt_embeddings as wide as those of the "
                          "first adapter, got " +
                          (prompt ? shape_text(prompt->sizes().vec()) : std::string("none")) + ".");
    }
    prompts.push_back(*prompt);
  }
  StateDict composed;
  composed.set("prompt_embeddings", at::cat(prompts, 0));
  CartridgeConfig config = configs.front();
  config.num_virtual_tokens = composed.at("prompt_embeddings").size(0);
  write_adapter(output, config, composed, safe_serialization);
}

}  // namespace peft
