#include "peft/adapter/modules_to_save.h"

#include <torch/nn/modules/container/moduledict.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/parameterdict.h>
#include <torch/nn/modules/container/parameterlist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>

#include "peft/adapter/matching.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"

namespace peft {
namespace {

constexpr const char* kSlot = "modules_to_save";

bool is_container(const ModuleEntry& module) {
  const auto* native = module.native.get();
  return dynamic_cast<const torch::nn::ModuleListImpl*>(native) != nullptr ||
         dynamic_cast<const torch::nn::ModuleDictImpl*>(native) != nullptr ||
         dynamic_cast<const torch::nn::ParameterListImpl*>(native) != nullptr ||
         dynamic_cast<const torch::nn::ParameterDictImpl*>(native) != nullptr;
}

// Configs for classification name both usual heads, of which a model has one.
bool is_usual_head(const std::string& name) { return name == "classifier" || name == "score"; }

void warn_of_names_without_module(const std::vector<ModuleEntry>& modules,
                                  const std::vector<std::string>& names) {
  std::vector<std::string> parts, missed;
  for (const ModuleEntry& module : modules) parts.push_back(last_part(module.name));
  for (const std::string& name : names) {
    const bool hit = std::any_of(modules.begin(), modules.end(), [&](const ModuleEntry& module) {
      return !module.name.empty() && module.name.ends_with(name);
    });
    if (!hit && !is_usual_head(name)) missed.push_back(name);
  }
  if (missed.empty()) return;
  std::string text = "modules_to_save: no module is called " + join_names(missed) +
                     ": nothing is trained and saved for it.";
  const auto close = closest_names(last_part(missed.front()), parts);
  if (!close.empty()) text += " Closest names: " + join_names(close) + ".";
  warn(text);
}

}  // namespace

SavedModule::SavedModule(const ModuleEntry& module, const std::vector<ModuleEntry>& below)
    : module_(module) {
  if (is_container(module)) {
    throw ConfigError("modules_to_save: it cannot be applied to modules of type " +
                      class_name(module) + ": expected a module with a forward, got '" +
                      module.name + "'. Name its members.");
  }
  for (const ModuleEntry& part : below) {
    const std::string prefix =
        part.name == module.name ? "" : part.name.substr(module.name.size() + 1);
    const auto add_all = [&](const NamedTensors& tensors, bool is_buffer) {
      for (const auto& [name, tensor] : tensors) {
        members_.push_back({join_name(prefix, name), tensor, is_buffer, part,
                            std::make_shared<SavedTensor>(join_name(part.name, name), is_buffer)});
      }
    };
    add_all(own_parameters(part), false);
    add_all(own_buffers(part), true);
  }
}

void SavedModule::add(const std::string& adapter) {
  if (has(adapter)) return;
  at::NoGradGuard no_grad;
  for (const Member& member : members_) {
    slots_.add_tree(kSlot, adapter, member.name, base(member.base).detach().clone(),
                    member.is_buffer);
  }
  adapters_.push_back(adapter);
}

// Python makes a layer of the one weight: whatever else the module has is not copied.
void SavedModule::add_tied(const std::string& adapter, const SavedModule& other) {
  if (has(adapter)) return;
  slots_.add_shared(kSlot, adapter, "weight", other.copy_of(adapter, "weight"));
  adapters_.push_back(adapter);
}

void SavedModule::remove(const std::string& adapter) {
  slots_.remove(adapter);
  std::erase(adapters_, adapter);
  if (active_ == adapter) active_.clear();
  refresh();
}

bool SavedModule::has(const std::string& adapter) const {
  return std::find(adapters_.begin(), adapters_.end(), adapter) != adapters_.end();
}

void SavedModule::set_active(const std::string& adapter) {
  active_ = adapter;
  passed_over_ = adapter.empty();
  refresh();
}

void SavedModule::set_enabled(bool enabled) {
  enabled_ = enabled;
  if (enabled) passed_over_ = false;
  refresh();
}

at::Tensor SavedModule::copy_of(const std::string& adapter, const std::string& member) const {
  std::string name = kSlot;
  name += '.';
  name += member;
  for (const SlotTensor& slot : slots_.tensors(adapter)) {
    if (slot.file_name == name) return slot.tensor;
  }
  return {};
}

void SavedModule::set_rows(std::shared_ptr<const AdapterRows> rows) {
  rows_ = std::move(rows);
  refresh();
}

std::string SavedModule::mixed_batch_obstacle() const {
  const auto* native = module_.native.get();
  const bool served = dynamic_cast<const torch::nn::LinearImpl*>(native) != nullptr ||
                      dynamic_cast<const torch::nn::EmbeddingImpl*>(native) != nullptr ||
                      dynamic_cast<const torch::nn::Conv1dImpl*>(native) != nullptr ||
                      dynamic_cast<const torch::nn::Conv2dImpl*>(native) != nullptr ||
                      dynamic_cast<const torch::nn::Conv3dImpl*>(native) != nullptr;
  if (served) return {};
  return "mixed batching is only supported for the following modules of modules_to_save: Linear, "
         "Embedding, Conv1d, Conv2d, Conv3d, got " +
         class_name(module_);
}

std::unique_ptr<SavedRows> SavedModule::rows_layer(const Member& weight) const {
  std::vector<SavedRows::Copy> copies;
  for (const std::string& adapter : rows_->adapters) {
    copies.push_back({.weight = copy_of(adapter, weight.name), .bias = copy_of(adapter, "bias")});
  }
  return std::make_unique<SavedRows>(weight.replacement->parameter_name(), *rows_,
                                     std::move(copies));
}

void SavedModule::refresh() {
  const bool by_row = rows_ && enabled_ &&
                      std::any_of(rows_->adapters.begin(), rows_->adapters.end(),
                                  [&](const std::string& adapter) { return has(adapter); });
  const bool replaced = enabled_ && !active_.empty() && !rows_;
  for (const Member& member : members_) {
    // The bias goes with the weight, whose layer knows both.
    const bool serves = by_row && member.name == "weight";
    member.replacement->set_per_row(serves ? rows_layer(member) : nullptr);
    member.replacement->set_current(replaced ? copy_of(active_, member.name) : at::Tensor());
  }
}

std::vector<ModuleEntry> find_modules_to_save(const std::vector<ModuleEntry>& modules,
                                              const std::vector<std::string>& names) {
  warn_of_names_without_module(modules, names);
  std::vector<ModuleEntry> found;
  std::vector<std::string> loose;
  for (const ModuleEntry& module : modules) {
    if (module.name.empty()) continue;
    const bool hit = std::any_of(names.begin(), names.end(),
                                 [&](const auto& name) { return module.name.ends_with(name); });
    if (!hit) continue;
    if (!matches_ending(module.name, names)) loose.push_back(module.name);
    for (const ModuleEntry& outer : found) {
      if (!lies_under(module.name, outer.name)) continue;
      throw ConfigError("modules_to_save: '" + module.name + "' lies inside '" + outer.name +
                        "', which is saved too: expected separate modules. Use longer names.");
    }
    found.push_back(module);
  }
  if (!loose.empty()) {
    warn("modules_to_save " + join_names(names) + " also reaches " + join_names(loose) +
         ", because names are compared by their ending. Use longer names if that is not meant.");
  }
  return found;
}

}  // namespace peft
