#include "peft/by_name.h"

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/models/common/language_model.h"

namespace peft {
namespace {

constexpr std::string_view kWrappers[] = {"base_model.model.", "base_model."};

std::string without_prefix(const std::string& name) {
  for (const std::string_view prefix : kWrappers) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  }
  return name;
}

[[noreturn]] void throw_unknown(const std::string& what, const std::string& name,
                                const std::vector<std::string>& known) {
  std::string text = what + " '" + name + "': not found in the model";
  const auto close = closest_names(name, known);
  if (close.empty()) {
    text += ": expected one of " + join_names(known) + ".";
  } else {
    text += ": expected a name of the model. Closest names: " + join_names(close) + ".";
  }
  throw NotFoundError(text);
}

at::Tensor find_tensor(const std::string& what, const std::string& name,
                       const NamedTensors& tensors) {
  const std::string wanted = without_prefix(name);
  std::vector<std::string> known;
  for (const auto& [key, tensor] : tensors) {
    if (key == wanted) return tensor;
    known.push_back(key);
  }
  throw_unknown(what, wanted, known);
}

}  // namespace

std::shared_ptr<torch::nn::Module> find_submodule(const ModelTree& tree, const std::string& name) {
  const std::string wanted = without_prefix(name);
  const auto root = tree.parameter_root();
  if (wanted.empty()) return root;
  std::vector<std::string> known;
  for (const auto& entry : root->named_modules("", false)) {
    if (entry.key() == wanted) return entry.value();
    known.push_back(entry.key());
  }
  throw_unknown("get_submodule", wanted, known);
}

at::Tensor find_parameter(const ModelTree& tree, const std::string& name) {
  const std::string wanted = without_prefix(name);
  NamedTensors tensors = tree.parameters();
  // Tied parameters have several names, of which parameters() tells the first.
  for (const ModuleEntry& module : tree.modules_with_duplicates()) {
    for (const auto& [key, tensor] : own_parameters(module)) {
      if (join_name(module.name, key) == wanted) return tensor;
    }
  }
  return find_tensor("get_parameter", name, tensors);
}

at::Tensor find_buffer(const ModelTree& tree, const std::string& name) {
  NamedTensors tensors;
  for (const ModuleEntry& module : tree.modules_with_duplicates()) {
    for (const auto& [key, tensor] : own_buffers(module)) {
      tensors.emplace_back(join_name(module.name, key), tensor);
    }
  }
  return find_tensor("get_buffer", name, tensors);
}

Json base_model_config(const ModelTree& tree) {
  const auto* model = dynamic_cast<const PretrainedModelImpl*>(tree.native_root().get());
  return model == nullptr ? Json::object() : model->config();
}

Json find_config_value(const ModelTree& tree, const std::string& key) {
  const Json config = base_model_config(tree);
  const auto found = config.find(key);
  if (found != config.end()) return *found;
  std::vector<std::string> known;
  for (const auto& [name, value] : config.items()) known.push_back(name);
  throw_unknown("config", key, known);
}

}  // namespace peft
