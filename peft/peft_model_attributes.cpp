// PeftModel: what Python has as attributes and properties.

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/by_name.h"
#include "peft/peft_model.h"

namespace peft {

const std::string& PeftModel::active_adapter() const {
  const auto& active = active_adapters();
  if (active.size() == 1) return active.front();
  throw ConfigError("active_adapter: expected one active adapter, got " +
                    (active.empty() ? std::string("none") : join_names(active)) +
                    ". Ask for active_adapters(), or activate one with set_adapter.");
}

std::optional<std::set<std::string>> PeftModel::modules_to_save() const {
  std::set<std::string> names;
  for (const auto& [adapter, config] : peft_config()) {
    const auto* own = config.shared().modules_to_save;
    if (own != nullptr && *own) names.insert((*own)->begin(), (*own)->end());
  }
  return names.empty() ? std::nullopt : std::optional(names);
}

std::optional<at::ScalarType> PeftModel::base_model_torch_dtype() const {
  for (const ModuleEntry& module : tuner_->tree().modules()) {
    for (const auto& [name, tensor] : own_parameters(module)) {
      if (tensor.is_floating_point()) return tensor.scalar_type();
    }
  }
  return std::nullopt;
}

std::map<std::string, std::shared_ptr<torch::nn::Module>> PeftModel::prompt_encoder() const {
  const auto& encoders = tuner_->prompts().all();
  return {encoders.begin(), encoders.end()};
}

std::map<std::string, at::Tensor> PeftModel::prompt_tokens() const {
  std::map<std::string, at::Tensor> tokens;
  for (const auto& [adapter, encoder] : tuner_->prompts().all()) {
    const SharedFields fields = peft_config(adapter).shared();
    tokens[adapter] =
        at::arange(**fields.num_virtual_tokens * **fields.num_transformer_submodules, at::kLong);
  }
  return tokens;
}

std::optional<std::string> PeftModel::transformer_backbone_name() const {
  const std::string& embedding = tuner_->facts().input_embedding;
  const size_t dot = embedding.find('.');
  if (!tuner_->is_prompt_learning() || dot == std::string::npos) return std::nullopt;
  return embedding.substr(0, dot);
}

at::Tensor PeftModel::word_embeddings() const {
  const std::string& embedding = tuner_->facts().input_embedding;
  if (!tuner_->is_prompt_learning() || embedding.empty()) return {};
  return get_parameter(embedding + ".weight");
}

at::Tensor PeftModel::get_prompt_embedding_to_save(const std::string& adapter) const {
  const PeftConfig& config = peft_config(adapter);
  BasePromptEncoder* encoder = tuner_->prompts().find(adapter);
  if (encoder == nullptr) {
    throw UnsupportedError(
        "get_prompt_embedding_to_save: expected an adapter of prompt learning, got " +
        config.peft_type() + ". Its values are in state_dict().");
  }
  return encoder->prompt_embeddings().to(at::kCPU);
}

std::shared_ptr<torch::nn::Module> PeftModel::get_submodule(const std::string& name) const {
  return find_submodule(tuner_->tree(), name);
}

at::Tensor PeftModel::get_parameter(const std::string& name) const {
  return find_parameter(tuner_->tree(), name);
}

at::Tensor PeftModel::get_buffer(const std::string& name) const {
  return find_buffer(tuner_->tree(), name);
}

Json PeftModel::config() const { return base_model_config(tuner_->tree()); }

Json PeftModel::config(const std::string& key) const {
  return find_config_value(tuner_->tree(), key);
}

void PeftModel::add_weighted_adapter(const std::vector<std::string>& adapters,
                                     const std::vector<double>& weights,
                                     const std::string& adapter_name,
                                     const CombineOptions& options) {
  if (peft_type() != "LORA") {
    throw UnsupportedError("add_weighted_adapter: expected adapters of LORA, got " + peft_type() +
                           ". Convert them with convert_to_lora.");
  }
  tuner_->verify();
  lora::add_weighted_adapter(*tuner_, adapters, weights, adapter_name, options);
}

bool check_if_peft_model(const std::filesystem::path& folder) {
  try {
    read_adapter_config(folder);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace peft
