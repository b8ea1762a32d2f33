#include "peft/adapter/clone.h"

#include <torch/script.h>

#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/slots.h"
#include "peft/adapter/tag_state.h"
#include "peft/tensor/attention_addition.h"

namespace peft {
namespace {

using ModulePtr = std::shared_ptr<torch::nn::Module>;

/// Takes the adapters' children out of the tree for as long as it lives.
class WithoutAdapterChildren {
 public:
  explicit WithoutAdapterChildren(const ModulePtr& root) {
    for (const auto& module : root->modules()) {
      for (const auto& child : module->named_children()) {
        if (std::dynamic_pointer_cast<SlotModule>(child.value())) {
          taken_.push_back({module, child.key(), child.value()});
        }
      }
    }
    for (auto& child : taken_) child.parent->unregister_module(child.name);
  }
  ~WithoutAdapterChildren() {
    for (auto& child : taken_) child.parent->register_module(child.name, child.module);
  }
  WithoutAdapterChildren(const WithoutAdapterChildren&) = delete;
  WithoutAdapterChildren& operator=(const WithoutAdapterChildren&) = delete;

 private:
  struct Child {
    ModulePtr parent;
    std::string name;
    ModulePtr module;
  };
  std::vector<Child> taken_;
};

}  // namespace

std::shared_ptr<torch::nn::Module> clone_base(const ModulePtr& module) {
  WithoutAdapterChildren plain_tree(module);
  auto copy = module->clone();
  // A copy of a tagged weight holds the base's bytes and a tag that shares the adapter.
  for (auto& parameter : copy->parameters()) dispatch::strip(parameter);
  for (auto& buffer : copy->buffers()) dispatch::strip(buffer);
  for (const auto& part : copy->modules()) {
    if (auto* attention = dynamic_cast<TakesAttentionAddition*>(part.get())) {
      attention->set_addition(nullptr);
    }
  }
  return copy;
}

torch::jit::Module clone(const torch::jit::Module& module) {
  torch::NoGradGuard values_only;
  auto copy = module.deepcopy();
  auto originals = module.named_parameters();
  auto original = originals.begin();
  for (auto parameter : copy.parameters()) {
    dispatch::strip(parameter);
    parameter.requires_grad_((*original).value.requires_grad());
    ++original;
  }
  for (auto buffer : copy.buffers()) dispatch::strip(buffer);
  return copy;
}

}  // namespace peft
