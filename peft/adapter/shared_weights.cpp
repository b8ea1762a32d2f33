#include "peft/adapter/shared_weights.h"

#include <algorithm>

namespace peft {

SharedWeights::SharedWeights(const std::vector<ModuleEntry>& modules) {
  for (const ModuleEntry& module : modules) {
    for (const auto& [name, tensor] : own_parameters(module)) {
      owners_.emplace_back(tensor.unsafeGetTensorImpl(), module.name);
    }
  }
  std::sort(owners_.begin(), owners_.end());
}

std::vector<std::string> SharedWeights::owners(const at::Tensor& weight) const {
  std::vector<std::string> names;
  const std::pair<const void*, std::string> first(weight.unsafeGetTensorImpl(), "");
  for (auto it = std::lower_bound(owners_.begin(), owners_.end(), first);
       it != owners_.end() && it->first == first.first; ++it) {
    names.push_back(it->second);
  }
  return names;
}

std::vector<CallKind> SharedWeights::kinds(const at::Tensor& weight, CallKind own) const {
  if (owners(weight).size() > 1) return {own};
  return {CallKind::kProduct, CallKind::kLookup, CallKind::kConvolution, CallKind::kOther};
}

CallKind call_kind(SiteKind kind) {
  if (kind == SiteKind::kEmbedding) return CallKind::kLookup;
  return kind == SiteKind::kConvolution ? CallKind::kConvolution : CallKind::kProduct;
}

CallKind call_kind(const ModuleEntry& module) {
  return is_embedding(module) ? CallKind::kLookup : CallKind::kProduct;
}

}  // namespace peft
