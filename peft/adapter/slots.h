#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace peft {

/// A node of the tree that holds adapters' parameters ("lora_A", "lora_A.default"). It has no
/// forward: walks over a model's own modules leave it out.
class SlotModule : public torch::nn::Module {
 public:
  using torch::nn::Module::Module;
  /// Registers or replaces a parameter or buffer.
  void put(const std::string& name, const at::Tensor& tensor, bool is_buffer = false);
  void erase_parameter(const std::string& name);
  /// The parameters that a module of any class registers itself, without the copies that
  /// named_parameters() makes.
  static const torch::OrderedDict<std::string, at::Tensor>& parameters_of(
      const torch::nn::Module& module);
};

/// How a tensor is called in a file: by slot and name, or by the slot alone.
enum class FileName { kFull, kSlot };

/// One tensor of an adapter at a site.
struct SlotTensor {
  std::string tree_name;  // below the site's module: "lora_A.default.weight"
  std::string file_name;  // the same without the adapter: "lora_A.weight"
  at::Tensor tensor;
  bool is_buffer = false;
};

/// The parameters that adapters keep at one site, under Python's names: a slot ("lora_A") has an
/// entry an adapter, which is a parameter itself or holds named ones.
class AdapterSlots {
 public:
  AdapterSlots() = default;
  /// The slots hang below `path` ("token_adapter", "base_layer.base_layer") in the module, in nodes
  /// that come and go with them. Several AdapterSlots of one module may share nodes.
  explicit AdapterSlots(std::string path) : path_(std::move(path)) {}

  /// Adds `<slot>.<adapter>.<name>`, or `<slot>.<adapter>` where `name` is empty, and returns the
  /// leaf that is registered.
  at::Tensor add(const std::string& slot, const std::string& adapter, const std::string& name,
                 const at::Tensor& value, FileName file_name = FileName::kFull);

  /// Adds a buffer that a file calls `<slot>`, and returns it.
  at::Tensor add_buffer(const std::string& slot, const std::string& adapter,
                        const at::Tensor& value);

  /// Adds `<slot>.<adapter>.<dotted name>`, for the copies of whole modules.
  at::Tensor add_tree(const std::string& slot, const std::string& adapter,
                      const std::string& dotted_name, const at::Tensor& value, bool is_buffer);

  /// Adds a parameter that other slots hold already.
  void add_shared(const std::string& slot, const std::string& adapter,
                  const std::string& dotted_name, const at::Tensor& leaf);

  /// Puts another tensor, which may be of another shape, in the place of `<slot>.<adapter>.<name>`
  /// and returns its leaf.
  at::Tensor replace(const std::string& slot, const std::string& adapter, const std::string& name,
                     const at::Tensor& value);

  /// Takes an adapter out of every slot; slots without adapters leave the tree.
  void remove(const std::string& adapter);

  /// Hangs the slots into `home` and keeps them there as they come and go; null takes them out.
  /// Throws: ConfigError where `home` has a member of a slot's name; then they hang nowhere.
  void attach(const std::shared_ptr<torch::nn::Module>& home);

  std::vector<SlotTensor> tensors(const std::string& adapter) const;
  /// Calls `visit` for every parameter of every adapter: for walks over many layers, which need no
  /// names. What one adapter has is mostly, but not always, visited together.
  void each_parameter(
      const std::function<void(const std::string& adapter, const at::Tensor& tensor)>& visit) const;
  /// True where a parameter of the adapter requires a gradient.
  bool requires_grad(const std::string& adapter) const;
  /// Keeps what an adapter has in one slot from learning, whatever is asked for later.
  void freeze(const std::string& slot, const std::string& adapter);
  void set_requires_grad(const std::string& adapter, bool requires_grad);
  /// These adapters learn, and no others.
  void let_learn(const std::vector<std::string>& adapters);
  /// True where the module's owner is in training mode.
  bool training() const;

 private:
  struct Entry {
    std::string slot, adapter, name;
    at::Tensor tensor;
    bool is_buffer;
    FileName file_name = FileName::kFull;
    bool frozen = false;
    void set_requires_grad(bool requires_grad) const;
  };
  std::shared_ptr<SlotModule> slot(const std::string& name);
  void hang(const std::string& slot, const std::string& adapter, const std::string& dotted_name,
            const at::Tensor& leaf, bool is_buffer);
  void check_free(const torch::nn::Module& home) const;
  void detach();
  static std::shared_ptr<torch::nn::Module> step_into(
      const std::shared_ptr<torch::nn::Module>& owner, const std::string& part);

  std::string path_;
  std::vector<std::pair<std::string, std::shared_ptr<SlotModule>>> slots_;
  std::vector<Entry> entries_;
  std::vector<std::weak_ptr<torch::nn::Module>>
      way_;                                // from the module to home_, which is left out
  std::weak_ptr<torch::nn::Module> home_;  // that the slots hang in
};

/// Throws ConfigError where the name cannot be a part of a parameter's name: empty or with a dot.
void check_adapter_name(const std::string& adapter);

}  // namespace peft
