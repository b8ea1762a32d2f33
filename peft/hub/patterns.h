#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace peft::hub {

/// Matches a path as Python's fnmatchcase does: `*` any text (slashes too), `?` one character,
/// `[a-z]` and `[!a-z]` sets. Takes time proportional to the product of the lengths.
bool matches_pattern(std::string_view path, std::string_view pattern);

/// Which files of a repository are meant. A pattern that ends with a slash means all below it.
/// Source: filter_repo_objects in huggingface_hub/utils/_paths.py.
struct Patterns {
  std::vector<std::string> include = {};  // empty: all
  std::vector<std::string> exclude = {};

  bool admit(std::string_view path) const;
};

}  // namespace peft::hub
