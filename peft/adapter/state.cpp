// Tuner: an adapter's tensors under the keys of Python's files, and back.

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

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
class Tuner::FileNames {
 public:
  explicit FileNames(const Tuner& tuner) {
    for (const Attachment& attachment : tuner.attachments_) {
      const std::string& name = attachment.found.site.module_name;
      if (!attachment.beside) targeted_.insert(name);
      wrappers_[name] += attachment.beside ? ".token_adapter.base_layer" : ".base_layer";
    }
    for (const auto& saved : tuner.saved_) saved_.insert(saved->module().name);
  }

  std::string operator()(const std::string& name) const {
    std::string file = kPrefix;
    size_t begin = 0;
    for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', begin)) {
      file.append(name, begin, dot - begin);
      const std::string path = name.substr(0, dot);
      if (const auto found = wrappers_.find(path); found != wrappers_.end()) file += found->second;
      if (saved_.contains(path)) file += ".original_module";
      file += '.';
      begin = dot + 1;
    }
    return file + name.substr(begin);
  }

  bool targets(const std::string& module_name) const { return targeted_.contains(module_name); }

 private:
  std::unordered_set<std::string> targeted_, saved_;
  std::unordered_map<std::string, std::string> wrappers_;  // what Python puts around a module
};

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

// Python adds the base's embeddings to the file where they are adapted and named in target_modules.
void Tuner::add_embedding_state(const PeftConfig& config, StateDict& state) const {
  const TargetModules* targets = config.shared().target_modules;
  if (targets == nullptr || targets->absent()) return;
  // Whoever trains some rows does not want all of them in the file.
  const Json* tokens = config.shared().trainable_token_indices;
  if (tokens != nullptr && !tokens->is_null()) return;
  bool targeted = false;
  for (const Attachment& attachment : attachments_) {
    const std::string& name = attachment.found.site.module_name;
    if (!is_embedding_name(name) || attachment.beside) continue;
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
  const FileNames file_name(*this);
  for (const Attachment& attachment : attachments_) {
    const std::string& name = attachment.found.site.module_name;
    if (name != facts_.input_embedding && name != facts_.output_head) continue;
    for (const auto& [key, tensor] : own_parameters(attachment.found.module)) {
      state.set(file_name(join_name(name, key)), base(tensor).detach());
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
  const FileNames file_name(*this);
  for (const ModuleEntry& module : tree_.modules()) {
    for (const auto& [name, tensor] : own_parameters(module)) {
      others.emplace(file_name(join_name(module.name, name)), base(tensor));
    }
    for (const auto& [name, tensor] : own_buffers(module)) {
      others.emplace(file_name(join_name(module.name, name)), base(tensor));
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
                          ". The adapter was made for another model or with another rank: "
                          "compare its adapter_config.json with the model.");
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
