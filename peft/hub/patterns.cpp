#include "peft/hub/patterns.h"

#include <algorithm>
#include <optional>

namespace peft::hub {
namespace {

/// Reads the set that begins at pattern[at] == '['; moves `at` behind it. nullopt: it has no end,
/// so the bracket is a plain character.
std::optional<bool> in_set(char letter, std::string_view pattern, size_t& at) {
  size_t i = at + 1;
  const bool negated = i < pattern.size() && pattern[i] == '!';
  if (negated) ++i;
  const size_t end = pattern.find(']', i + 1);
  if (i >= pattern.size() || end == pattern.npos) return std::nullopt;
  bool found = false;
  while (i < end) {
    if (i + 2 < end && pattern[i + 1] == '-') {
      found = found || (pattern[i] <= letter && letter <= pattern[i + 2]);
      i += 3;
    } else {
      found = found || pattern[i] == letter;
      ++i;
    }
  }
  at = end + 1;
  return found != negated;
}

/// Matches one character and moves `at` behind what it matched with.
bool step(char letter, std::string_view pattern, size_t& at) {
  if (at >= pattern.size()) return false;
  if (pattern[at] == '[') {
    size_t next = at;
    if (const auto member = in_set(letter, pattern, next)) {
      at = next;
      return *member;
    }
  }
  const bool same = pattern[at] == '?' || pattern[at] == letter;
  ++at;
  return same;
}

bool any_matches(std::string_view path, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return matches_pattern(path, pattern.ends_with('/') ? pattern + "*" : pattern);
  });
}

}  // namespace

bool matches_pattern(std::string_view path, std::string_view pattern) {
  size_t at = 0, i = 0;
  size_t star = pattern.npos, resume = 0;  // the last '*' and where the path stood there
  while (i < path.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      resume = i;
      continue;
    }
    if (step(path[i], pattern, at)) {
      ++i;
      continue;
    }
    if (star == pattern.npos) return false;
    at = star + 1;
    i = ++resume;
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

bool Patterns::admit(std::string_view path) const {
  return (include.empty() || any_matches(path, include)) && !any_matches(path, exclude);
}

}  // namespace peft::hub
