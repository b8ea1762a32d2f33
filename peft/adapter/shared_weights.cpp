#include "peft/adapter/shared_weights.h"

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/tensor/module_kind.h"

namespace peft {
namespace {

// The dictionary of a module's parameters is protected; a pointer to member formed in a child may
// reach it. Registering the name anew would throw.
struct Registry : torch::nn::Module {
  static auto& of(torch::nn::Module& module) { return module.*(&Registry::parameters_); }
};

template <typename Layer>
bool replace_weight(torch::nn::Module& module, const at::Tensor& weight, bool write) {
  auto* layer = dynamic_cast<Layer*>(&module);
  if (layer == nullptr) return false;
  if (!write) return true;
  Registry::of(module)["weight"] = weight;
  layer->weight = weight;
  return true;
}

}  // namespace

SharedWeights::SharedWeights(const std::vector<ModuleEntry>& modules) {
  for (const ModuleEntry& module : modules) {
    for (const auto& [name, tensor] : own_parameters(module)) {
      owners_.push_back({tensor.unsafeGetTensorImpl(), module.name, call_kind(module)});
    }
  }
  std::sort(owners_.begin(), owners_.end(), [](const Owner& a, const Owner& b) {
    return std::tie(a.tensor, a.module) < std::tie(b.tensor, b.module);
  });
}

std::vector<const SharedWeights::Owner*> SharedWeights::find(const at::Tensor& weight) const {
  std::vector<const Owner*> found;
  const void* tensor = weight.unsafeGetTensorImpl();
  auto it =
      std::lower_bound(owners_.begin(), owners_.end(), tensor,
                       [](const Owner& owner, const void* key) { return owner.tensor < key; });
  for (; it != owners_.end() && it->tensor == tensor; ++it) found.push_back(&*it);
  return found;
}

std::vector<std::string> SharedWeights::owners(const at::Tensor& weight) const {
  std::vector<std::string> names;
  for (const Owner* owner : find(weight)) names.push_back(owner->module);
  return names;
}

std::vector<CallKind> SharedWeights::kinds(const at::Tensor& weight, const std::string& module,
                                           CallKind own) const {
  const auto owners = find(weight);
  if (owners.size() < 2) {
    return all_call_kinds();
  }
  for (const Owner* owner : owners) {
    if (owner->module == module || owner->kind != own) continue;
    throw UnsupportedError(
        "target module '" + module + "': its weight is shared with '" + owner->module +
        "', which uses it in the same way: expected a weight of its own, or one that is shared by "
        "an embedding and a product, got one whose calls cannot be told apart. Untie the modules "
        "first.");
  }
  return {own};
}

bool give_own_weight(const ModuleEntry& module, const std::string& parameter,
                     const at::Tensor& weight, bool write) {
  if (!module.native || parameter != "weight") return false;
  if (auto* adopter = dynamic_cast<AdoptsWeight*>(module.native.get())) {
    if (write) adopter->adopt_weight(weight);
    return true;
  }
  return replace_weight<torch::nn::LinearImpl>(*module.native, weight, write) ||
         replace_weight<torch::nn::EmbeddingImpl>(*module.native, weight, write);
}

std::vector<CallKind> all_call_kinds() {
  return {CallKind::kProduct, CallKind::kLookup, CallKind::kConvolution, CallKind::kOther};
}

CallKind call_kind(SiteKind kind) {
  if (kind == SiteKind::kEmbedding) return CallKind::kLookup;
  return kind == SiteKind::kConvolution ? CallKind::kConvolution : CallKind::kProduct;
}

CallKind call_kind(const ModuleEntry& module) {
  if (is_embedding(module)) return CallKind::kLookup;
  return is_convolution(module) ? CallKind::kConvolution : CallKind::kProduct;
}

}  // namespace peft
