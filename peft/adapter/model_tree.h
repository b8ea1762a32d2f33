#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace torch::jit {
struct Module;
}

namespace peft {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// One module of a model, as adapters see it.
struct ModuleEntry {
  std::string name;                            // dotted; empty for the root
  std::shared_ptr<torch::nn::Module> native;   // null for a scripted module
  std::shared_ptr<torch::jit::Module> script;  // null for a native module
};

/// A model of either kind, walked alike: a tree of torch::nn::Module, or a torch::jit::Module whose
/// adapters' parameters live in a tree beside it, under the same names (registering anything in a
/// scripted module would corrupt the types it shares).
class ModelTree {
 public:
  explicit ModelTree(std::shared_ptr<torch::nn::Module> root);
  explicit ModelTree(const torch::jit::Module& root);

  bool is_script() const { return script_ != nullptr; }
  const std::shared_ptr<torch::nn::Module>& native_root() const { return native_; }
  /// The root of the adapters' own tree for a scripted model, else the model itself.
  const std::shared_ptr<torch::nn::Module>& parameter_root() const { return home_root_; }

  /// All modules, parents before children, children in the order of registration, the root first. A
  /// module that is registered twice appears under its first name only. Containers of adapters are
  /// left out.
  std::vector<ModuleEntry> modules() const;

  /// The same with a module under every name it has.
  std::vector<ModuleEntry> modules_with_duplicates() const;

  /// The module that adapter parameters of `entry` are registered in.
  std::shared_ptr<torch::nn::Module> home(const ModuleEntry& entry) const;

  /// Every parameter of the model and of its adapters, in the order of the tree, each tensor once.
  NamedTensors parameters() const;

  /// The same without names, and a tensor as often as it is registered.
  struct Parameters {
    std::vector<at::Tensor> base;
    std::vector<const c10::TensorImpl*> adapters;  // for as long as the tree stays as it is
  };
  Parameters registered_parameters() const;

  /// Training or evaluation mode for the model and its adapters.
  void train(bool on) const;

  /// The class of the root without its namespaces and without a trailing "Impl".
  std::string class_name() const;

 private:
  std::shared_ptr<torch::nn::Module> native_;
  std::shared_ptr<torch::jit::Module> script_;
  std::shared_ptr<torch::nn::Module> home_root_;
};

/// Training or evaluation mode for as long as it lives; then the mode from before.
class [[nodiscard]] TrainingMode {
 public:
  TrainingMode(const ModelTree& tree, bool on);
  TrainingMode(const TrainingMode&) = delete;
  TrainingMode& operator=(const TrainingMode&) = delete;
  ~TrainingMode() { tree_.train(before_); }

 private:
  const ModelTree& tree_;
  bool before_;
};

/// The parameters that a module registers itself, adapters' not among them.
NamedTensors own_parameters(const ModuleEntry& entry);

/// The buffers that a module registers itself.
NamedTensors own_buffers(const ModuleEntry& entry);

/// The class of a module, for messages: "Linear", "LlamaAttention".
std::string class_name(const ModuleEntry& entry);

/// "a.b" and "c" make "a.b.c"; an empty part is left out.
std::string join_name(const std::string& parent, const std::string& child);

/// The part behind the last dot.
std::string last_part(const std::string& name);

/// The part before the last dot; empty where there is none.
std::string parent_name(const std::string& name);

/// True where `name` is `parent` or lies below it.
bool lies_under(const std::string& name, const std::string& parent);

}  // namespace peft
