#include "peft/tokenizers/pre_tokenizers/scanners.h"

#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

/// Walks over a text by character class.
class Walker {
 public:
  Walker(std::string_view text, size_t at) : text_(text), at_(at) {}

  bool done() const { return at_ >= text_.size(); }
  size_t at() const { return at_; }
  CodePoint here() const { return decode_utf8(text_, at_); }
  char byte() const { return text_[at_]; }
  void skip(size_t bytes) { at_ += bytes; }
  void go_to(size_t at) { at_ = at; }

  /// Passes all characters that have one of these classes.
  void pass(uint16_t classes) {
    while (!done()) {
      const CodePoint c = here();
      if ((table_[c.value] & classes) == 0) return;
      at_ += c.length;
    }
  }

  /// Passes all characters that have none of these classes.
  void pass_without(uint16_t classes) {
    while (!done()) {
      const CodePoint c = here();
      if ((table_[c.value] & classes) != 0) return;
      at_ += c.length;
    }
  }

  uint16_t classes() const { return table_[here().value]; }

 private:
  std::string_view text_;
  size_t at_;
  const uint16_t* table_ = char_class_table();
};

constexpr uint16_t kNotOther = kSpace | kLetter | kNumber;

bool is_line_end(char byte) { return byte == '\r' || byte == '\n'; }

char lower(char byte) { return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : byte; }

/// Length of 's, 't, 're, 've, 'm, 'll or 'd at an apostrophe; 0 if none.
size_t contraction(std::string_view text, size_t at, bool ignore_case) {
  const auto letter = [&](size_t offset) {
    const char byte = at + offset < text.size() ? text[at + offset] : '\0';
    return ignore_case ? lower(byte) : byte;
  };
  const char first = letter(1), second = letter(2);
  switch (first) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return second == 'e' ? 3 : 0;
    case 'l':
      return second == 'l' ? 3 : 0;
    default:
      // The long s is an s to a regular expression that ignores case.
      return ignore_case && text.substr(at + 1).starts_with("\u017F") ? 3 : 0;
  }
}

/// `\s+(?!\S)|\s+`: white space up to the end, or all of it but the last character where more
/// follows.
size_t scan_space(std::string_view text, size_t at) {
  Walker walker(text, at);
  size_t last = at;
  while (!walker.done()) {
    const CodePoint c = walker.here();
    if ((char_class_table()[c.value] & kSpace) == 0) return last > at ? last : walker.at();
    last = walker.at();
    walker.skip(c.length);
  }
  return text.size();
}

size_t scan_gpt2(std::string_view text, size_t at) {
  Walker walker(text, at);
  if (walker.byte() == '\'') {
    if (const size_t length = contraction(text, at, false)) return at + length;
  }
  if (walker.byte() == ' ') {
    walker.skip(1);
    if (walker.done()) return walker.at();
  }
  const uint16_t classes = walker.classes();
  if (classes & kSpace) return scan_space(text, at);
  if (classes & kLetter) {
    walker.pass(kLetter);
  } else if (classes & kNumber) {
    walker.pass(kNumber);
  } else {
    walker.pass_without(kNotOther);
  }
  return walker.at();
}

/// ` ?[^\s\p{L}\p{N}]+[\r\n]*`, the walker standing behind the blank.
size_t scan_other(Walker walker) {
  walker.pass_without(kNotOther);
  while (!walker.done() && is_line_end(walker.byte())) walker.skip(1);
  return walker.at();
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`.
size_t scan_lines(std::string_view text, size_t at) {
  Walker walker(text, at);
  walker.pass(kSpace);
  for (size_t end = walker.at(); end > at; --end) {
    if (is_line_end(text[end - 1])) return end;
  }
  return scan_space(text, at);
}

template <int kDigits>
size_t scan_tiktoken(std::string_view text, size_t at) {
  Walker walker(text, at);
  const CodePoint first = walker.here();
  if (first.value == '\'') {
    if (const size_t length = contraction(text, at, true)) return at + length;
  }
  const uint16_t classes = char_class_table()[first.value];
  if (classes & kLetter) {
    walker.pass(kLetter);
    return walker.at();
  }
  if (classes & kNumber) {
    for (int i = 0; i < kDigits && !walker.done() && (walker.classes() & kNumber); ++i) {
      walker.skip(walker.here().length);
    }
    return walker.at();
  }
  walker.skip(first.length);
  const uint16_t next = walker.done() ? 0 : walker.classes();
  if ((next & kLetter) && first.value != '\r' && first.value != '\n') {
    walker.pass(kLetter);
    return walker.at();
  }
  if ((classes & kSpace) == 0) {
    walker.go_to(at);
    return scan_other(walker);
  }
  if (first.value == ' ' && !walker.done() && (next & kNotOther) == 0) return scan_other(walker);
  return scan_lines(text, at);
}

}  // namespace

Scanner find_scanner(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return scan_gpt2;
  if (pattern == kLlama3Pattern) return scan_tiktoken<3>;
  if (pattern == kQwen2Pattern) return scan_tiktoken<1>;
  return nullptr;
}

}  // namespace peft::tokenizers
