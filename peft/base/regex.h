#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace peft {

/// A compiled regular expression (Oniguruma, UTF-8). Immutable: concurrent use is allowed.
///
/// Backtracking is bounded: a pattern that explodes on a text gives an error, never a hang.
class Regex {
 public:
  /// kPython: the `re` module ((?P<name>...), \Z is the very end). kRuby: Oniguruma's own default,
  /// as the Python `tokenizers` library uses for tokenizer.json.
  enum class Syntax { kPython, kRuby };

  /// Half-open byte range of the text.
  struct Span {
    size_t begin = 0, end = 0;
    friend bool operator==(const Span&, const Span&) = default;
  };

  struct Match : Span {
    std::vector<std::optional<Span>> groups;  // groups[0] is the whole match
  };

  /// `where` names the setting or file that the pattern comes from.
  /// Throws: ConfigError "<where>: ...".
  Regex(std::string_view pattern, Syntax syntax, std::string_view where);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  const std::string& pattern() const;

  /// True where the whole text matches, as Python's re.fullmatch.
  /// Throws: ConfigError (too much backtracking).
  bool full_match(std::string_view text) const;

  /// The first match that starts at byte `from` or later. What is before `from` is seen by
  /// lookbehinds and by ^. `text` must be valid UTF-8 (see is_valid_utf8).
  /// Throws: ConfigError (too much backtracking).
  std::optional<Match> search(std::string_view text, size_t from = 0) const;

  /// search() without the groups: allocates nothing.
  std::optional<Span> find(std::string_view text, size_t from = 0) const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

}  // namespace peft
