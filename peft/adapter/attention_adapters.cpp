#include "peft/adapter/attention_adapters.h"

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

TakesAttentionAddition* attention_of(const ModuleEntry& module) {
  return dynamic_cast<TakesAttentionAddition*>(module.native.get());
}

// Any matrix of the layer tells the width, the type and the device.
at::Tensor a_weight_of(const torch::nn::Module& layer) {
  for (const auto& parameter : layer.parameters()) {
    if (parameter.dim() == 2) return parameter;
  }
  throw UnsupportedError("attention layer of type " + layer.name() +
                         ": expected a matrix among its parameters, got none.");
}

}  // namespace

std::vector<ModuleEntry> find_attention_layers(PeftConfig& config, const AttentionMethod& method,
                                               const std::vector<ModuleEntry>& modules,
                                               const std::string& model_type) {
  const std::string known = method.target(model_type);
  if (known.empty()) {
    throw UnsupportedError("unsupported model type for " + config.peft_type() + ": " +
                           quote(model_type) + ": expected llama, mistral or gpt2.");
  }
  TargetModules& target = *config.shared().target_modules;
  if (target.absent()) target = known;
  std::vector<ModuleEntry> found;
  for (const ModuleEntry& module : modules) {
    if (module.name.ends_with("." + target.pattern())) found.push_back(module);
  }
  const int64_t wanted = method.layers(config);
  if (static_cast<int64_t>(found.size()) < wanted) {
    throw ConfigError(
        "adapter_layers: config specifies more adapter layers than the model has: "
        "expected at most " +
        std::to_string(found.size()) + ", got " + std::to_string(wanted) + ".");
  }
  found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(wanted));
  for (const ModuleEntry& module : found) {
    if (attention_of(module) != nullptr) continue;
    throw UnsupportedError("module '" + module.name +
                           "': expected an attention layer that implements "
                           "peft::TakesAttentionAddition, got one of type " +
                           class_name(module) + ".");
  }
  return found;
}

AttentionAdapters::Layer& AttentionAdapters::layer_of(const ModuleEntry& module) {
  for (Layer& layer : layers_) {
    if (layer.module.native == module.native) return layer;
  }
  layers_.push_back({.module = module, .slots = std::make_unique<AdapterSlots>()});
  layers_.back().slots->attach(module.native);
  return layers_.back();
}

void AttentionAdapters::add(const std::string& adapter, const PeftConfig& config,
                            const AttentionMethod& method, const std::vector<ModuleEntry>& modules,
                            const std::string& model_type, int64_t width) {
  try {
    for (const ModuleEntry& module : modules) {
      // Before the slots hang in the layer, whose parameters would be among these.
      const auto values = method.parameters(config, width, a_weight_of(*module.native));
      Layer& layer = layer_of(module);
      std::vector<at::Tensor> leaves;
      for (const auto& [name, value] : values) {
        leaves.push_back(layer.slots->add(name, adapter, "", value));
      }
      layer.additions[adapter] = method.make(leaves, model_type);
    }
  } catch (...) {
    remove(adapter);
    throw;
  }
}

void AttentionAdapters::remove(const std::string& adapter) {
  for (Layer& layer : layers_) {
    layer.slots->remove(adapter);
    const auto found = layer.additions.find(adapter);
    if (found == layer.additions.end()) continue;
    TakesAttentionAddition* attention = attention_of(layer.module);
    if (attention->addition() == found->second.get()) attention->set_addition(nullptr);
    layer.additions.erase(found);
  }
}

void AttentionAdapters::clear() {
  activate("");
  for (Layer& layer : layers_) layer.slots->attach(nullptr);
  layers_.clear();
}

void AttentionAdapters::activate(const std::string& adapter) const {
  for (const Layer& layer : layers_) {
    const auto found = layer.additions.find(adapter);
    attention_of(layer.module)
        ->set_addition(found == layer.additions.end() ? nullptr : found->second);
  }
}

}  // namespace peft
