#include "peft/adapter/targets.h"

#include <algorithm>
#include <unordered_set>

#include "peft/adapter/matching.h"
#include "peft/adapter/site.h"
#include "peft/base/text.h"

namespace peft {
namespace {

constexpr size_t kManyTargets = 20;

// The layer that scores classes has no fixed name: the first of the usual ones.
std::string classification_head(const std::vector<ModuleEntry>& modules) {
  for (const char* head : {"score", "classifier"}) {
    for (const ModuleEntry& module : modules) {
      if (module.name == head) return head;
    }
  }
  return {};
}

std::set<std::string> linear_names(const SharedFields& fields,
                                   const std::vector<ModuleEntry>& modules,
                                   const ModelFacts& facts) {
  std::set<std::string> names;
  for (const ModuleEntry& module : modules) {
    if (is_linear(module)) names.insert(module.name);
  }
  if (!facts.is_pretrained) return names;
  if (!facts.output_head.empty()) {
    names.erase(facts.output_head);
  } else if (fields.task_type && *fields.task_type && **fields.task_type == "SEQ_CLS") {
    names.erase(classification_head(modules));
  }
  return names;
}

void shorten(TargetModules& targets, const std::vector<ModuleEntry>& modules) {
  std::vector<std::string> others;
  for (const ModuleEntry& module : modules) {
    if (!matches_ending(module.name, targets.names())) others.push_back(module.name);
  }
  const std::set<std::string> all(targets.names().begin(), targets.names().end());
  const std::set<std::string> few = minimal_targets(all, others);
  if (few.size() < all.size()) targets = std::vector<std::string>(few.begin(), few.end());
}

// "a.b.c" gives "c", "b.c", "a.b.c".
std::vector<std::string> endings(const std::string& name) {
  std::vector<std::string> found;
  for (size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0;
       dot = name.rfind('.', dot - 1)) {
    found.push_back(name.substr(dot + 1));
  }
  found.push_back(name);
  return found;
}

}  // namespace

std::set<std::string> minimal_targets(const std::set<std::string>& targets,
                                      const std::vector<std::string>& others) {
  if (targets.count("") != 0) {
    throw ConfigError("target_modules: expected names, got an empty string. Take it out.");
  }
  std::unordered_set<std::string> taken;
  for (const std::string& other : others) {
    for (std::string& ending : endings(other)) taken.insert(std::move(ending));
  }
  std::vector<std::vector<std::string>> candidates;
  for (const std::string& target : targets) candidates.push_back(endings(target));
  std::sort(candidates.begin(), candidates.end());
  std::set<std::string> required;
  for (const auto& suffixes : candidates) {
    const std::string& whole = suffixes.back();
    for (const std::string& suffix : suffixes) {
      if (required.count(suffix) != 0 || taken.count(suffix) != 0) continue;
      const bool covered = std::any_of(required.begin(), required.end(), [&](const auto& known) {
        return whole.ends_with("." + known);
      });
      if (covered) continue;
      required.insert(suffix);
      break;
    }
  }
  return required.empty() ? targets : required;
}

void resolve_targets(SharedFields& fields, const std::vector<ModuleEntry>& modules,
                     const ModelFacts& facts, const DefaultTargets& defaults) {
  if (fields.target_modules == nullptr) return;
  TargetModules& targets = *fields.target_modules;
  if (targets.absent()) {
    const auto known = defaults ? defaults(facts.model_type) : std::nullopt;
    if (!known) {
      throw ConfigError(
          "target_modules: expected names or a pattern, got none, and the model type '" +
          facts.model_type + "' has no default. Please specify `target_modules`.");
    }
    targets = *known;
  }
  if (targets.is_pattern() && targets.pattern() == kDummyTargetModules) return;
  if (targets.is_pattern() && lower_case(targets.pattern()) == "all-linear") {
    const std::set<std::string> names = linear_names(fields, modules, facts);
    targets = std::vector<std::string>(names.begin(), names.end());
  }
  if (targets.is_list() && targets.names().size() >= kManyTargets) shorten(targets, modules);
}

}  // namespace peft
