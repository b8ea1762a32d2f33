// Tuner: an adapter's tensors under the keys of Python's files.

#include "peft/adapter/file_names.h"
#include "peft/adapter/meta_parameters.h"
#include "peft/adapter/tuner.h"

namespace peft {
namespace {

constexpr const char* kSavedSlot = "modules_to_save.";

}  // namespace

std::vector<std::pair<std::string, at::Tensor>> Tuner::adapter_tensors(
    const std::string& adapter) const {
  std::vector<std::pair<std::string, at::Tensor>> found;
  const FileNames file_name(*this);
  for (const Attachment& attachment : attachments_) {
    const std::string path = file_name(attachment.found.site.module_name) + ".";
    for (const SlotTensor& slot : attachment.layer->slots().tensors(adapter)) {
      found.emplace_back(path + slot.file_name, slot.tensor);
    }
  }
  for (const auto& layer : attention_.layers()) {
    const std::string path = file_name(layer.module.name) + ".";
    for (const SlotTensor& slot : layer.slots->tensors(adapter)) {
      found.emplace_back(path + slot.file_name, slot.tensor);
    }
  }
  for (const auto& saved : saved_) {
    const std::string path = file_name(saved->module().name) + ".";
    for (const SlotTensor& slot : saved->slots().tensors(adapter)) {
      found.emplace_back(path + slot.file_name.substr(std::string(kSavedSlot).size()), slot.tensor);
    }
  }
  return found;
}

std::vector<std::pair<std::string, at::Tensor>> Tuner::bias_state(const PeftConfig& config) const {
  std::vector<std::pair<std::string, at::Tensor>> found;
  const std::string* bias = config.shared().bias;
  if (bias == nullptr || *bias == "none") return found;
  const FileNames file_name(*this);
  for (const ModuleEntry& module : tree_.modules()) {
    if (*bias != "all" && !file_name.targets(module.name)) continue;
    for (const auto& [name, tensor] : own_parameters(module)) {
      if (name == "bias") found.emplace_back(file_name(join_name(module.name, name)), tensor);
    }
  }
  return found;
}

StateDict Tuner::state(const std::string& adapter, const StateOptions& options) const {
  const PeftConfig& config = this->config(adapter);
  BasePromptEncoder* prompt = prompts_.find(adapter);
  StateDict state = prompt == nullptr ? StateDict() : prompt->state();
  for (auto& [key, tensor] : adapter_tensors(adapter)) state.set(key, tensor.detach());
  for (auto& [key, tensor] : bias_state(config)) {
    if (!state.contains(key)) state.set(key, base(tensor).detach());
  }
  add_embedding_state(config, options, state);
  return state;
}

std::string Tuner::file_prefix() const {
  return is_prompt_learning() ? kPromptFilePrefix : kFilePrefix;
}

std::string Tuner::file_name(const std::string& name) const { return FileNames(*this)(name); }

void Tuner::drop_values(const std::string& adapter) {
  for (const auto& [key, tensor] : adapter_tensors(adapter)) peft::drop_values(tensor);
}

}  // namespace peft
