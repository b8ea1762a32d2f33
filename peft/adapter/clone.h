#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>

namespace torch::jit {
struct Module;
}

namespace peft {

/// A deep copy of a model as it is without its adapters: the parameters are plain copies of the
/// base weights, replaced parameters of their originals, and nothing of an adapter is copied. The
/// model itself is as before afterwards. (`module->clone()` of an adapted module throws, since
/// adapters' parameters are children that its reset() does not make. To copy a model with its
/// adapters, inject them into the clone and load their state.)
///
/// Not to be called while a forward runs on the model.
///
/// Throws: what `module->clone()` throws for modules that cannot be cloned.
std::shared_ptr<torch::nn::Module> clone_base(const std::shared_ptr<torch::nn::Module>& module);

/// The same with the module's own type; `module` is a pointer or a holder.
template <typename M>
std::shared_ptr<M> clone(const std::shared_ptr<M>& module) {
  return std::dynamic_pointer_cast<M>(clone_base(module));
}
template <typename M>
std::shared_ptr<M> clone(const torch::nn::ModuleHolder<M>& module) {
  return clone(module.ptr());
}

/// The same for a scripted model; its `deepcopy()` and `clone()` keep the adapters, shared with the
/// original.
torch::jit::Module clone(const torch::jit::Module& module);

}  // namespace peft
