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
  /// Throws: UnsupportedError where another owner makes the same kind of call, since no call could
  /// then tell whether the adapter is meant.
  std::vector<CallKind> kinds(const at::Tensor& weight, const std::string& module,
                              CallKind own) const;

 private:
  struct Owner {
    const void* tensor;
    std::string module;
    CallKind kind;
  };
  std::vector<const Owner*> find(const at::Tensor& weight) const;

  std::vector<Owner> owners_;
};

/// Gives a module a parameter of its own in the place of the one that it shares, both where it is
/// registered and where the module reads it. `write` false: only asks.
/// Returns: false where the module is of a class that nothing is known of; then nothing has
/// changed.
bool give_own_weight(const ModuleEntry& module, const std::string& parameter,
                     const at::Tensor& weight, bool write = true);

/// Every kind of call.
std::vector<CallKind> all_call_kinds();

/// The kind of call that a module makes with its weight.
CallKind call_kind(SiteKind kind);

/// The same for a module of any class; a product where nothing is known of it.
CallKind call_kind(const ModuleEntry& module);

}  // namespace peft
