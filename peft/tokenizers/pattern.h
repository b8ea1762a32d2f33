#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "peft/base/regex.h"
#include "peft/tokenizers/aligned_text.h"
#include "peft/tokenizers/json_view.h"

namespace peft::tokenizers {

/// What Split and Replace look for: {"String": ...} or {"Regex": ...}.
/// Source: tokenizers src/tokenizer/pattern.rs
class Pattern {
 public:
  /// Throws: FormatError (neither of the two, or a bad regular expression).
  explicit Pattern(const JsonView& json);

  /// The matches of one text, one after the other.
  class Matches {
   public:
    Matches(const Pattern& pattern, std::string_view text) : pattern_(pattern), text_(text) {}

    /// The next match; `from` is the end of the last one. An empty match that touches the last
    /// match is passed over.
    std::optional<Range> operator()(size_t from) const;

   private:
    const Pattern& pattern_;
    std::string_view text_;
    mutable std::optional<size_t> last_end_;
  };

  /// `text` must outlive the result.
  Matches matches(std::string_view text) const { return {*this, text}; }

 private:
  std::string literal_;
  std::shared_ptr<const Regex> regex_;  // null: the literal
};

}  // namespace peft::tokenizers
