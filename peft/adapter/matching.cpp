#include "peft/adapter/matching.h"

#include <algorithm>
#include <cstdint>

namespace peft {
namespace {

Regex python_regex(const std::string& pattern, const std::string& where) {
  return Regex(pattern, Regex::Syntax::kPython, where);
}

// Python's re.match: anchored at the start, not at the end.
Regex anchored(const std::string& pattern, const std::string& where) {
  return python_regex("\\A(?:" + pattern + ")", where);
}

std::string digits_after(const std::string& text, const Regex::Match& match) {
  for (size_t group = match.groups.size(); group-- > 1;) {
    if (match.groups[group]) {
      return text.substr(match.groups[group]->begin,
                         match.groups[group]->end - match.groups[group]->begin);
    }
  }
  return {};
}

}  // namespace

bool matches_ending(const std::string& name, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& ending) {
    if (name.size() <= ending.size()) return name == ending;
    return name.ends_with(ending) && name[name.size() - ending.size() - 1] == '.';
  });
}

TargetMatcher::TargetMatcher(const SharedFields& fields) {
  if (fields.target_modules) targets_ = *fields.target_modules;
  if (fields.exclude_modules) excluded_names_ = *fields.exclude_modules;
  if (fields.layers_to_transform) layers_ = *fields.layers_to_transform;
  if (targets_.is_pattern()) {
    target_pattern_.push_back(python_regex(targets_.pattern(), "target_modules"));
  }
  if (excluded_names_.is_pattern() && excluded_names_.truthy()) {
    excluded_pattern_.push_back(python_regex(excluded_names_.pattern(), "exclude_modules"));
  }
  if (fields.modules_to_save && *fields.modules_to_save) {
    for (const std::string& name : **fields.modules_to_save) {
      saved_modules_.push_back(anchored("(^|.*\\.)" + name + "($|\\..*)", "modules_to_save"));
    }
  }
  if (!layers_.restricts()) return;
  const NamesOrPattern* pattern = fields.layers_pattern;
  if (pattern == nullptr || !pattern->truthy()) {
    layer_patterns_.push_back(anchored(".*?\\.[^.]*\\.(\\d+)\\.", "layers_pattern"));
    return;
  }
  const auto names =
      pattern->is_pattern() ? std::vector<std::string>{pattern->pattern()} : pattern->names();
  for (const std::string& name : names) {
    layer_patterns_.push_back(anchored("(?:^|.*?\\.)" + name + "\\.(\\d+)\\.", "layers_pattern"));
  }
}

bool TargetMatcher::excluded(const std::string& name) const {
  if (!excluded_pattern_.empty() && excluded_pattern_[0].full_match(name)) return true;
  if (excluded_names_.is_list() && matches_ending(name, excluded_names_.names())) return true;
  return std::any_of(saved_modules_.begin(), saved_modules_.end(),
                     [&](const Regex& saved) { return saved.search(name).has_value(); });
}

bool TargetMatcher::in_chosen_layer(const std::string& name) const {
  for (const Regex& pattern : layer_patterns_) {
    const auto match = pattern.search(name);
    if (!match) continue;
    const std::string digits = digits_after(name, *match);
    return !digits.empty() && digits.size() < 19 && layers_.contains(std::stoll(digits));
  }
  return false;
}

MatchResult TargetMatcher::match(const std::string& name) const {
  if (excluded(name)) return MatchResult::kExcluded;
  if (targets_.absent()) return MatchResult::kUnmatched;
  if (targets_.is_pattern()) {
    return target_pattern_[0].full_match(name) ? MatchResult::kMatched : MatchResult::kUnmatched;
  }
  const auto& names = targets_.names();
  if (std::find(names.begin(), names.end(), name) != names.end()) return MatchResult::kMatched;
  if (!matches_ending(name, names)) return MatchResult::kUnmatched;
  if (layers_.restricts() && !in_chosen_layer(name)) return MatchResult::kUnmatched;
  return MatchResult::kMatched;
}

PatternKeys::PatternKeys(const std::vector<std::string>& keys, const std::string& where)
    : keys_(keys) {
  for (const std::string& key : keys)
    patterns_.push_back(anchored("(.*\\.)?(" + key + ")$", where));
}

int64_t PatternKeys::find(const std::string& module_name) const {
  for (size_t i = 0; i < patterns_.size(); ++i) {
    if (patterns_[i].search(module_name)) return static_cast<int64_t>(i);
  }
  return -1;
}

std::vector<std::string> PatternKeys::unmatched(
    const std::vector<std::string>& module_names) const {
  std::vector<std::string> missed;
  for (size_t i = 0; i < patterns_.size(); ++i) {
    const bool hit = std::any_of(module_names.begin(), module_names.end(),
                                 [&](const auto& name) { return patterns_[i].search(name); });
    if (!hit) missed.push_back(keys_[i]);
  }
  std::sort(missed.begin(), missed.end());
  return missed;
}

}  // namespace peft
