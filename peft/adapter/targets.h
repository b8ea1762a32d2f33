#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/model_facts.h"
#include "peft/adapter/model_tree.h"

namespace peft {

/// target_modules of Python that adapts nothing on purpose.
inline constexpr std::string_view kDummyTargetModules = "dummy-target-modules";

using DefaultTargets = std::function<std::optional<TargetModules>(std::string_view model_type)>;

/// Fills in and expands target_modules: the method's default for the model's type where it is
/// absent, names of linear layers for "all-linear", and the shortest endings for a list of twenty
/// or more.
///
/// Throws: ConfigError where it is absent and the type has no default.
/// Source: _prepare_adapter_config, _maybe_include_all_linear_layers, inject_adapter in
/// peft/tuners/tuners_utils.py.
void resolve_targets(SharedFields& fields, const std::vector<ModuleEntry>& modules,
                     const ModelFacts& facts, const DefaultTargets& defaults);

/// The smallest set of endings that matches all of `targets` and none of `others`.
/// Source: _find_minimal_target_modules in peft/tuners/tuners_utils.py.
std::set<std::string> minimal_targets(const std::set<std::string>& targets,
                                      const std::vector<std::string>& others);

}  // namespace peft
