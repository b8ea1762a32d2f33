#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "peft/base/regex.h"

namespace peft {

/// A replacement for the matches of one pattern in the language of Python's re.sub: \1, \g<1>,
/// \g<name>, \\ and \n, \t, ...
class RegexReplacement {
 public:
  /// `where` names the setting that both come from.
  /// Throws: ConfigError where the template is malformed or names a group that the pattern has not.
  RegexReplacement(std::string_view pattern, std::string_view replacement, std::string_view where);

  struct Result {
    std::string text;
    size_t count = 0;  // of matches that were replaced
  };
  /// Replaces every match, as Python's re.subn.  Throws: ConfigError (too much backtracking).
  Result operator()(std::string_view text) const;

 private:
  struct Piece {
    std::string literal;
    size_t group = 0;  // after the literal; kNoGroup: none
  };
  static constexpr size_t kNoGroup = static_cast<size_t>(-1);
  friend class RegexReplacementParser;

  Regex regex_;
  std::vector<Piece> pieces_;
};

}  // namespace peft
