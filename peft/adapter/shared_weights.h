#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/model_tree.h"
#include "peft/adapter/site.h"
#include "peft/adapter/tag.h"

namespace peft {

/// Who registers which tensor: tied weights have several owners.
class SharedWeights {
 public:
  explicit SharedWeights(const std::vector<ModuleEntry>& modules);

  /// The names of the modules that register the tensor, sorted.
  std::vector<std::string> owners(const at::Tensor& weight) const;

  /// The kinds of call that an adapter at a module answers for: all, or only the module's own where
  /// others share the tensor.
  std::vector<CallKind> kinds(const at::Tensor& weight, CallKind own) const;

 private:
  std::vector<std::pair<const void*, std::string>> owners_;
};

/// The kind of call that a module makes with its weight.
CallKind call_kind(SiteKind kind);

/// The same for a module of any class: a lookup for embeddings, a product for all else.
CallKind call_kind(const ModuleEntry& module);

}  // namespace peft
