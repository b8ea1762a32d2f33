#include "peft/adapter/tuner.h"

#include <algorithm>

#include "peft/adapter/matching.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"

namespace peft {

Tuner::Tuner(ModelTree tree, ModelFacts facts, const Method& method)
    : tree_(std::move(tree)), facts_(std::move(facts)), methods_{&method} {}

Tuner::Tuner(ModelTree tree, ModelFacts facts, std::vector<const Method*> mixed)
    : tree_(std::move(tree)), facts_(std::move(facts)), methods_(std::move(mixed)), mixed_(true) {}

const PeftConfig& Tuner::config(const std::string& adapter) const {
  std::vector<std::string> names;
  for (const auto& [name, config] : configs_) {
    if (name == adapter) return config;
    names.push_back(name);
  }
  throw NotFoundError("adapter '" + adapter + "' does not exist: expected one of " +
                      join_names(names) + ". Add or load it first.");
}

PeftConfig& Tuner::config(const std::string& adapter) {
  return const_cast<PeftConfig&>(std::as_const(*this).config(adapter));
}

bool Tuner::has(const std::string& adapter) const {
  return std::any_of(configs_.begin(), configs_.end(),
                     [&](const auto& entry) { return entry.first == adapter; });
}

std::vector<std::string> Tuner::targeted_modules() const {
  std::vector<std::string> names;
  for (const Attachment& attachment : attachments_) {
    if (!attachment.beside) names.push_back(attachment.found.site.module_name);
  }
  return names;
}

// Only adapters learn; the biases that a config names are let free again by mark_biases().
std::vector<at::Tensor> Tuner::freeze_base() {
  std::vector<at::Tensor> frozen;
  for (const ModuleEntry& module : tree_.modules()) {
    for (const auto& [name, tensor] : own_parameters(module)) {
      if (!tensor.is_leaf() || !tensor.requires_grad()) continue;
      tensor.requires_grad_(false);
      frozen.push_back(tensor);
    }
  }
  return frozen;
}

void Tuner::mark_biases() {
  for (const std::string& adapter : active_) {
    const SharedFields fields = config(adapter).shared();
    if (!fields.bias || *fields.bias == "none") continue;
    const bool all = *fields.bias == "all";
    const auto targeted = targeted_modules();
    for (const ModuleEntry& module : tree_.modules()) {
      if (!all && std::find(targeted.begin(), targeted.end(), module.name) == targeted.end()) {
        continue;
      }
      for (const auto& [name, tensor] : own_parameters(module)) {
        const bool saved = std::any_of(saved_.begin(), saved_.end(), [&](const auto& entry) {
          return lies_under(module.name, entry->module().name);
        });
        if (name == "bias" && !saved) tensor.requires_grad_(true);
      }
    }
  }
}

void Tuner::set_active(const std::vector<std::string>& adapters, bool inference_mode) {
  for (const std::string& adapter : adapters) config(adapter);
  if ((is_prompt_learning() || method().attention) && adapters.size() > 1) {
    throw ConfigError(
        "set_adapter: prompts take turns: expected one active adapter at a time, got " +
        join_names(adapters) + ".");
  }
  for (const Attachment& attachment : attachments_) {
    if (!attachment.beside) continue;
    std::vector<std::string> here;
    for (const std::string& adapter : adapters) {
      if (attachment.layer->has(adapter)) here.push_back(adapter);
    }
    if (here.size() < 2) continue;
    throw ConfigError("set_adapter: trainable_token_indices of '" +
                      attachment.found.site.module_name +
                      "': expected one active adapter at a time, got " + join_names(here) + ".");
  }
  for (const auto& saved : saved_) {
    std::vector<std::string> here;
    for (const std::string& adapter : adapters) {
      if (saved->has(adapter)) here.push_back(adapter);
    }
    if (here.size() < 2) continue;
    throw ConfigError("set_adapter: modules_to_save of '" + saved->module().name +
                      "': expected one active adapter at a time, got " + join_names(here) + ".");
  }
  if (merged()) {
    warn("Adapter cannot be set when the model is merged. Unmerging the model first.");
    unmerge();
  }
  active_ = adapters;
  const std::vector<std::string> learning = inference_mode ? std::vector<std::string>{} : adapters;
  for (Attachment& attachment : attachments_) {
    attachment.layer->set_active(adapters);
    attachment.layer->slots().let_learn(learning);
  }
  attention_.activate(enabled_ && !adapters.empty() ? adapters.front() : "");
  for (const auto& layer : attention_.layers()) layer.slots->let_learn(learning);
  activate_saved(adapters, inference_mode);
}

void Tuner::activate_saved(const std::vector<std::string>& adapters, bool inference_mode) {
  for (const auto& saved : saved_) {
    std::string chosen;
    for (const std::string& adapter : adapters) {
      if (saved->has(adapter)) chosen = adapter;
    }
    saved->slots().let_learn(inference_mode ? std::vector<std::string>{}
                                            : std::vector<std::string>{chosen});
    saved->set_active(chosen);
  }
}

void Tuner::set_requires_grad(const std::string& adapter, bool requires_grad) {
  config(adapter);
  if (is_prompt_learning()) {
    throw UnsupportedError(
        "set_requires_grad: setting requires_grad is not supported for prompt learning methods: "
        "expected a method that adapts weights, got " +
        std::string(method().name) + ". Set it on the parameters of prompt_encoder().");
  }
  for (Attachment& attachment : attachments_) {
    attachment.layer->slots().set_requires_grad(adapter, requires_grad);
  }
  for (const auto& layer : attention_.layers()) {
    layer.slots->set_requires_grad(adapter, requires_grad);
  }
  for (const auto& saved : saved_) saved->slots().set_requires_grad(adapter, requires_grad);
}

void Tuner::set_enabled(bool enabled) {
  if (enabled == enabled_) return;
  if (!enabled) {
    for (const std::string& adapter : active_) {
      const std::string* bias = config(adapter).shared().bias;
      if (bias == nullptr || *bias == "none") continue;
      warn("Careful, disabling adapter layers with bias configured to be '" + *bias +
           "' does not produce the same output as the base model would without adaption.");
    }
    if (merged()) unmerge();
    for (const auto& [name, config] : configs_) {
      for (const auto& [key, tensor] : adapter_tensors(name)) {
        if (!tensor.requires_grad() || !tensor.is_leaf()) continue;
        paused_.push_back(tensor);
        tensor.requires_grad_(false);
      }
    }
  } else {
    for (const at::Tensor& tensor : paused_) tensor.requires_grad_(true);
    paused_.clear();
  }
  enabled_ = enabled;
  for (Attachment& attachment : attachments_) attachment.layer->set_enabled(enabled);
  for (const auto& saved : saved_) saved->set_enabled(enabled);
  attention_.activate(enabled && !active_.empty() ? active_.front() : "");
}

void Tuner::check_removable(const std::string& adapter) const {
  config(adapter);
  for (const Attachment& attachment : attachments_) {
    const auto& merged = attachment.layer->merged_adapters();
    if (std::find(merged.begin(), merged.end(), adapter) == merged.end()) continue;
    throw ConfigError(
        "delete_adapter: adapter '" + adapter +
        "' is merged: expected an adapter that is not merged. Please unmerge it first.");
  }
}

void Tuner::remove(const std::vector<std::string>& adapters) {
  for (const std::string& adapter : adapters) check_removable(adapter);
  for (const std::string& adapter : adapters) {
    if (has(adapter)) remove_one(adapter);
  }
}

// Python chooses at each layer that had the adapter. Where all adapters are of one method the model
// goes by one choice; a mixed model, whose adapters lie on different layers, by all of them.
std::vector<std::string> Tuner::successors_of(const std::string& adapter) const {
  std::vector<std::string> names;
  for (const auto& [name, config] : configs_) {
    if (name != adapter) names.push_back(name);
  }
  if (!is_prompt_learning() && !method().attention) std::sort(names.begin(), names.end());
  if (names.empty() || !mixed_) return {names.begin(), names.begin() + (names.empty() ? 0 : 1)};
  std::vector<std::string> chosen;
  for (const Attachment& attachment : attachments_) {
    const auto first = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return attachment.layer->has(name);
    });
    if (first != names.end() && std::find(chosen.begin(), chosen.end(), *first) == chosen.end()) {
      chosen.push_back(*first);
    }
  }
  return chosen;
}

void Tuner::remove_one(const std::string& adapter) {
  const bool was_active = std::find(active_.begin(), active_.end(), adapter) != active_.end();
  std::vector<std::string> active = active_;
  std::erase(active, adapter);
  if (was_active && active.empty()) {
    active = successors_of(adapter);
    if (!active.empty()) {
      warn("Adapter " + adapter + " was active which is now deleted. Setting active adapter to " +
           join(active, ", ") + ".");
    }
  }
  std::erase_if(configs_, [&](const auto& entry) { return entry.first == adapter; });
  for (Attachment& attachment : attachments_) attachment.layer->remove(adapter);
  for (const auto& saved : saved_) saved->remove(adapter);
  prompts_.remove(adapter);
  attention_.remove(adapter);
  if (was_active) {
    set_active(active);
  } else {
    for (Attachment& attachment : attachments_) attachment.layer->refresh();
  }
}

void Tuner::verify() const {
  const auto lost = [](const std::string& name) {
    throw ConfigError(name +
                      ": the parameter has lost its adapter: expected the tensor that was adapted, "
                      "got another one (set_data and vector_to_parameters replace it). Copy values "
                      "with copy_ instead, or adapt the model again.");
  };
  for (const Attachment& attachment : attachments_) {
    if (!carries(attachment.found.weight, *attachment.layer)) {
      lost(attachment.found.site.full_name());
    }
  }
  for (const auto& saved : saved_) {
    for (const SavedModule::Member& member : saved->members()) {
      if (!carries(member.base, *member.replacement)) lost(member.replacement->parameter_name());
    }
  }
}

}  // namespace peft
