// Tuner: an adapter's tensors under the keys of Python's files, and back.

#include <algorithm>
#include <map>

#include "peft/adapter/matching.h"
#include "peft/adapter/tuner.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"

namespace peft {
namespace {

constexpr const char* kPrefix = "base_model.model.";
constexpr const char* kSavedSlot = "modules_to_save.";

bool is_embedding_name(const std::string& module_name) {
  const std::string part = last_part(module_name);
  return part == "embed_tokens" || part == "lm_head";
}

}  // namespace

// In Python a targeted module wraps the former one as `base_layer`, and a saved one as
// `original_module`: names of what lies below carry that part.
std::string Tuner::file_path(const std::string& name) const {
  std::string path, file;
  std::string rest = name;
  while (!rest.empty()) {
    const size_t dot = rest.find('.');
    path = join_name(path, rest.substr(0, dot));
    file = join_name(file, rest.substr(0, dot));
    rest = dot == std::string::npos ? "" : rest.substr(dot + 1);
    if (rest.empty()) break;
    const bool targeted = std::any_of(
        attachments_.begin(), attachments_.end(),
        [&](const Attachment& attachment) { return attachment.found.site.module_name == path; });
    const bool saved = std::any_of(saved_.begin(), saved_.end(), [&](const auto& module) {
      return module->module().name == path;
    });
    if (targeted) file += ".base_layer";
    if (saved) file += ".original_module";
  }
  return file;
}

std::vector<std::pair<std::string, at::Tensor>> Tuner::adapter_tensors(
    const std::string& adapter) const {
  std::vector<std::pair<std::string, at::Tensor>> found;
  for (const Attachment& attachment : attachments_) {
    const std::string path = kPrefix + file_path(attachment.found.site.module_name) + ".";
    for (const SlotTensor& slot : attachment.layer->slots().tensors(adapter)) {
      found.emplace_back(path + slot.file_name, slot.tensor);
    }
  }
  for (const auto& saved : saved_) {
    const std::string path = kPrefix + file_path(saved->module().name) + ".";
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
  const auto targeted = targeted_modules();
  for (const ModuleEntry& module : tree_.modules()) {
    const bool is_target =
        std::find(targeted.begin(), targeted.end(), module.name) != targeted.end();
    if (*bias != "all" && !is_target) continue;
    for (const auto& [name, tensor] : own_parameters(module)) {
      if (name == "bias")
        found.emplace_back(kPrefix + file_path(join_name(module.name, name)), tensor);
    }
  }
  return found;
}

// Python adds the base's embeddings to the file where they are adapted and named in target_modules.
void Tuner::add_embedding_state(const PeftConfig& config, StateDict& state) const {
  const TargetModules* targets = config.shared().target_modules;
  if (targets == nullptr || targets->absent()) return;
  bool targeted = false;
  for (const Attachment& attachment : attachments_) {
    const std::string& name = attachment.found.site.module_name;
    if (!is_embedding_name(name)) continue;
    const auto& names = targets->is_list() ? targets->names() : std::vector<std::string>{};
    targeted |= targets->is_pattern() ||
                std::find(names.begin(), names.end(), last_part(name)) != names.end();
  }
  if (!targeted) return;
  if (!facts_.is_pretrained) {
    warn(
        "Could not identify embedding layer(s) because the model is not a language model of this "
        "library: their base weights are not saved with the adapter.");
    return;
  }
  warn("Saving the base weights of embedding layers, as they are found in `target_modules`.");
  for (const Attachment& attachment : attachments_) {
    const std::string& name = attachment.found.site.module_name;
    if (name != facts_.input_embedding && name != facts_.output_head) continue;
    for (const auto& [key, tensor] : own_parameters(attachment.found.module)) {
      state.set(kPrefix + file_path(join_name(name, key)), base(tensor).detach());
    }
  }
}

StateDict Tuner::state(const std::string& adapter) const {
  const PeftConfig& config = this->config(adapter);
  StateDict state;
  for (auto& [key, tensor] : adapter_tensors(adapter)) state.set(key, tensor.detach());
  for (auto& [key, tensor] : bias_state(config)) {
    if (!state.contains(key)) state.set(key, base(tensor).detach());
  }
  add_embedding_state(config, state);
  return state;
}

LoadResult Tuner::load_state(const std::string& adapter, const StateDict& tensors) {
  config(adapter);
  std::map<std::string, at::Tensor> own, others;
  std::vector<std::string> own_keys;
  for (auto& [key, tensor] : adapter_tensors(adapter)) {
    own_keys.push_back(key);
    own.emplace(key, tensor);
  }
  for (const ModuleEntry& module : tree_.modules()) {
    for (const auto& [name, tensor] : own_parameters(module)) {
      others.emplace(kPrefix + file_path(join_name(module.name, name)), base(tensor));
    }
    for (const auto& [name, tensor] : own_buffers(module)) {
      others.emplace(kPrefix + file_path(join_name(module.name, name)), base(tensor));
    }
  }
  LoadResult result;
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;
  std::map<std::string, bool> seen;
  for (const auto& [name, tensor] : tensors) {
    const std::string key = name.starts_with(kPrefix) ? name : kPrefix + name;
    auto found = own.find(key);
    if (found == own.end() && (found = others.find(key)) == others.end()) {
      result.unexpected.push_back(name);
      continue;
    }
    if (found->second.sizes() != tensor.sizes()) {
      throw MismatchError("adapter '" + adapter + "': tensor '" + name + "': expected shape " +
                          shape_text(found->second.sizes().vec()) + ", got " +
                          shape_text(tensor.sizes().vec()) +
                          ". The adapter was made for another model or with another rank.");
    }
    copies.emplace_back(found->second, tensor);
    result.matched.push_back(name);
    seen[key] = true;
  }
  for (const std::string& key : own_keys) {
    if (!seen.contains(key)) result.missing.push_back(key);
  }
  at::NoGradGuard no_grad;
  for (auto& [target, source] : copies) target.detach().copy_(source);
  return result;
}

}  // namespace peft
