#pragma once

#include <string>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/base/regex.h"

namespace peft {

enum class MatchResult { kUnmatched, kMatched, kExcluded };

/// Decides by its name whether an adapter is put on a module, exactly as Python does: a list holds
/// whole names or endings at a dot, a string is a regular expression that must match the whole
/// name; exclude_modules and modules_to_save win over both; layers_to_transform picks by the first
/// number in the name.
///
/// Source: check_target_module_exists in peft/tuners/tuners_utils.py.
class TargetMatcher {
 public:
  /// Throws: ConfigError for a bad regular expression.
  explicit TargetMatcher(const SharedFields& fields);

  MatchResult match(const std::string& module_name) const;

 private:
  bool excluded(const std::string& name) const;
  bool in_chosen_layer(const std::string& name) const;

  TargetModules targets_;
  NamesOrPattern excluded_names_;
  LayerIndices layers_;
  std::vector<Regex> target_pattern_, excluded_pattern_;  // none or one
  std::vector<Regex> saved_modules_, layer_patterns_;
};

/// True where `name` is one of `names` or ends with a dot and one of them.
bool matches_ending(const std::string& name, const std::vector<std::string>& names);

/// The keys of rank_pattern or alpha_pattern, each a regular expression for the end of a module's
/// name.
///
/// Source: get_pattern_key in peft/utils/other.py.
class PatternKeys {
 public:
  /// `where` names the field.  Throws: ConfigError for a bad regular expression.
  PatternKeys(const std::vector<std::string>& keys, const std::string& where);

  /// Position of the first key that matches; -1: none.
  int64_t find(const std::string& module_name) const;

  /// The keys that match none of the names, sorted.
  std::vector<std::string> unmatched(const std::vector<std::string>& module_names) const;

 private:
  std::vector<std::string> keys_;
  std::vector<Regex> patterns_;
};

/// The value that a pattern gives to a module, or `otherwise`.
template <typename Value>
Value pattern_value(const std::vector<std::pair<std::string, Value>>& patterns,
                    const std::string& module_name, Value otherwise, const std::string& where) {
  if (patterns.empty()) return otherwise;
  std::vector<std::string> keys;
  for (const auto& [key, value] : patterns) keys.push_back(key);
  const int64_t found = PatternKeys(keys, where).find(module_name);
  return found < 0 ? otherwise : patterns[static_cast<size_t>(found)].second;
}

}  // namespace peft
