#include "peft/adapter/model_tree.h"

#include <c10/util/Type.h>
#include <torch/script.h>

#include <unordered_set>

#include "peft/adapter/slots.h"
#include "peft/base/error.h"

namespace peft {
namespace {

std::string short_class_name(const std::string& qualified) {
  const std::string name = qualified.substr(0, qualified.find('<'));
  const size_t colons = name.rfind("::");
  std::string short_name = colons == std::string::npos ? name : name.substr(colons + 2);
  const size_t dot = short_name.rfind('.');
  if (dot != std::string::npos) short_name = short_name.substr(dot + 1);
  if (short_name.size() > 4 && short_name.ends_with("Impl")) {
    short_name.resize(short_name.size() - 4);
  }
  return short_name;
}

using Seen = std::unordered_set<const void*>;

void walk(const std::shared_ptr<torch::nn::Module>& module, const std::string& name, Seen* seen,
          std::vector<ModuleEntry>& entries) {
  if (dynamic_cast<const SlotModule*>(module.get()) != nullptr) return;
  if (seen != nullptr && !seen->insert(module.get()).second) return;
  entries.push_back({name, module, nullptr});
  for (const auto& child : module->named_children()) {
    walk(child.value(), join_name(name, child.key()), seen, entries);
  }
}

void walk(const torch::jit::Module& module, const std::string& name, Seen* seen,
          std::vector<ModuleEntry>& entries) {
  if (seen != nullptr && !seen->insert(module._ivalue().get()).second) return;
  entries.push_back({name, nullptr, std::make_shared<torch::jit::Module>(module)});
  for (const auto& child : module.named_children()) {
    walk(child.value, join_name(name, child.name), seen, entries);
  }
}

void collect(const torch::nn::Module& module, const std::string& name, Seen& modules, Seen& tensors,
             NamedTensors& found) {
  if (!modules.insert(&module).second) return;
  for (const auto& parameter : SlotModule::parameters_of(module)) {
    const at::Tensor& tensor = parameter.value();
    if (!tensor.defined() || !tensors.insert(tensor.unsafeGetTensorImpl()).second) continue;
    found.emplace_back(join_name(name, parameter.key()), tensor);
  }
  for (const auto& child : module.named_children()) {
    collect(*child.value(), join_name(name, child.key()), modules, tensors, found);
  }
}

// What adapters register hangs in one place of the tree.
void collect_of_adapters(const torch::nn::Module& slot, ModelTree::Parameters& found) {
  for (const auto& parameter : SlotModule::parameters_of(slot)) {
    found.adapters.push_back(parameter.value().unsafeGetTensorImpl());
  }
  for (const auto& child : slot.children()) collect_of_adapters(*child, found);
}

void collect(const torch::nn::Module& module, Seen& modules, ModelTree::Parameters& found) {
  if (dynamic_cast<const SlotModule*>(&module) != nullptr) {
    return collect_of_adapters(module, found);
  }
  if (!modules.insert(&module).second) return;
  for (const auto& parameter : SlotModule::parameters_of(module)) {
    if (parameter.value().defined()) found.base.push_back(parameter.value());
  }
  for (const auto& child : module.children()) collect(*child, modules, found);
}

}  // namespace

ModelTree::ModelTree(std::shared_ptr<torch::nn::Module> root)
    : native_(std::move(root)), home_root_(native_) {
  if (!native_)
    throw ConfigError("model: it is empty: expected a module, got null. Construct it first.");
}

ModelTree::ModelTree(const torch::jit::Module& root)
    : script_(std::make_shared<torch::jit::Module>(root)),
      home_root_(std::make_shared<SlotModule>("adapters")) {}

std::vector<ModuleEntry> ModelTree::modules() const {
  std::vector<ModuleEntry> entries;
  Seen seen;
  if (script_) {
    walk(*script_, "", &seen, entries);
  } else {
    walk(native_, "", &seen, entries);
  }
  return entries;
}

std::vector<ModuleEntry> ModelTree::modules_with_duplicates() const {
  std::vector<ModuleEntry> entries;
  if (script_) {
    walk(*script_, "", nullptr, entries);
  } else {
    walk(native_, "", nullptr, entries);
  }
  return entries;
}

std::shared_ptr<torch::nn::Module> ModelTree::home(const ModuleEntry& entry) const {
  if (entry.native) return entry.native;
  std::shared_ptr<torch::nn::Module> node = home_root_;
  std::string rest = entry.name;
  while (!rest.empty()) {
    const size_t dot = rest.find('.');
    const std::string part = rest.substr(0, dot);
    rest = dot == std::string::npos ? "" : rest.substr(dot + 1);
    const auto children = node->named_children();
    if (const auto* found = children.find(part)) {
      node = *found;
    } else {
      node = node->register_module(part, std::make_shared<SlotModule>(part));
    }
  }
  return node;
}

NamedTensors ModelTree::parameters() const {
  NamedTensors found;
  Seen modules, tensors;
  if (script_) {
    for (const ModuleEntry& entry : this->modules()) {
      for (auto& [name, tensor] : own_parameters(entry)) {
        if (!tensors.insert(tensor.unsafeGetTensorImpl()).second) continue;
        found.emplace_back(join_name(entry.name, name), tensor);
      }
    }
  }
  collect(*home_root_, "", modules, tensors, found);
  return found;
}

ModelTree::Parameters ModelTree::registered_parameters() const {
  Parameters found;
  if (script_) {
    for (const ModuleEntry& entry : modules()) {
      for (const auto& [name, tensor] : own_parameters(entry)) found.base.push_back(tensor);
    }
  }
  Seen seen;
  collect(*home_root_, seen, found);
  return found;
}

void ModelTree::train(bool on) const {
  if (script_) script_->train(on);
  home_root_->train(on);
}

TrainingMode::TrainingMode(const ModelTree& tree, bool on)
    : tree_(tree), before_(tree.parameter_root()->is_training()) {
  tree_.train(on);
}

std::string ModelTree::class_name() const {
  return peft::class_name(ModuleEntry{"", native_, script_});
}

NamedTensors own_parameters(const ModuleEntry& entry) {
  NamedTensors found;
  if (entry.native) {
    for (const auto& parameter : entry.native->named_parameters(false)) {
      if (parameter.value().defined()) found.emplace_back(parameter.key(), parameter.value());
    }
  } else {
    for (const auto& parameter : entry.script->named_parameters(false)) {
      found.emplace_back(parameter.name, parameter.value);
    }
  }
  return found;
}

NamedTensors own_buffers(const ModuleEntry& entry) {
  NamedTensors found;
  if (entry.native) {
    for (const auto& buffer : entry.native->named_buffers(false)) {
      if (buffer.value().defined()) found.emplace_back(buffer.key(), buffer.value());
    }
  } else {
    for (const auto& buffer : entry.script->named_buffers(false)) {
      found.emplace_back(buffer.name, buffer.value);
    }
  }
  return found;
}

std::string class_name(const ModuleEntry& entry) {
  if (entry.script) {
    const auto name = entry.script->type()->name();
    return name ? short_class_name(name->qualifiedName()) : "ScriptModule";
  }
  const torch::nn::Module& module = *entry.native;
  return short_class_name(c10::demangle(typeid(module).name()));
}

std::string join_name(const std::string& parent, const std::string& child) {
  if (parent.empty()) return child;
  return child.empty() ? parent : parent + "." + child;
}

std::string last_part(const std::string& name) {
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? name : name.substr(dot + 1);
}

std::string parent_name(const std::string& name) {
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

bool lies_under(const std::string& name, const std::string& parent) {
  return parent.empty() || name == parent ||
         (name.size() > parent.size() && name[parent.size()] == '.' && name.starts_with(parent));
}

}  // namespace peft
