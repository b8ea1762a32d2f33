#include "peft/tokenizers/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/jinja/literals.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

constexpr size_t kMaxSource = size_t{16} << 20;
constexpr auto kNone = std::string_view::npos;

/// Line ends as \n, and without the last one: jinja2's keep_trailing_newline is off.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalized(source)) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) read_data();
    push(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(text_).substr(at_); }
  bool starts(std::string_view piece) const { return rest().substr(0, piece.size()) == piece; }

  void push(TokenKind kind, std::string_view text) {
    tokens_.push_back({.kind = kind, .line = line_, .text = std::string(text)});
  }

  void move(size_t bytes) {
    const std::string_view passed = rest().substr(0, bytes);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    if (!passed.empty()) line_starting_ = passed.back() == '\n';
    at_ += passed.size();
  }

  void skip_space() {
    size_t bytes = 0;
    for (std::string_view left = rest(); !left.empty() && is_space(first_point(left));) {
      bytes += point_bytes(left);
      left.remove_prefix(point_bytes(left));
    }
    move(bytes);
  }

  /// Text up to the next tag, and then the tag.
  void read_data() {
    size_t tag = text_.find('{', at_);
    while (tag != std::string::npos && (tag + 1 >= text_.size() || !is_tag(text_[tag + 1])))
      tag = text_.find('{', tag + 1);
    if (tag == std::string::npos) {
      if (at_ < text_.size()) push(TokenKind::kData, rest());
      move(rest().size());
      return;
    }
    const char kind = text_[tag + 1];
    const char sign = tag + 2 < text_.size() ? text_[tag + 2] : ' ';
    const std::string_view data = before_tag(rest().substr(0, tag - at_), kind, sign);
    if (!data.empty()) push(TokenKind::kData, data);
    move(tag - at_);
    const size_t opening = sign == '-' || sign == '+' ? 3 : 2;
    if (kind == '#') return read_comment(opening);
    if (kind == '%' && read_raw(opening)) return;
    push(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, "");
    move(opening);
    read_expression(kind == '{' ? "}}" : "%}");
  }

  static bool is_tag(char c) { return c == '{' || c == '%' || c == '#'; }

  /// What is left of the data before a tag: `-` takes all blanks, a block or comment that starts
  /// its line takes the blanks before it, unless `+` keeps them.
  std::string_view before_tag(std::string_view data, char kind, char sign) const {
    if (sign == '-') return stripped(data, {.left = false});
    if (sign == '+' || kind == '{') return data;
    const size_t line_end = data.rfind('\n');
    if (line_end == kNone && !line_starting_) return data;
    const size_t start = line_end == kNone ? 0 : line_end + 1;
    return stripped(data.substr(start)).empty() ? data.substr(0, start) : data;
  }

  /// Behind a closing tag: its sign has been read; a block's or comment's line end goes.
  void after_tag(char sign, bool trim) {
    if (sign == '-') return skip_space();
    if (sign != '+' && trim && starts("\n")) move(1);
  }

  void read_comment(size_t opening) {
    const int line = line_;
    const size_t end = text_.find("#}", at_ + opening);
    if (end == std::string::npos) fail_at(line, "a comment {# has no end #}");
    const char sign = end > at_ + opening ? text_[end - 1] : ' ';
    move(end + 2 - at_);
    after_tag(sign, true);
  }

  /// {% raw %} ... {% endraw %}, or false where the tag is another one.
  bool read_raw(size_t opening) {
    const size_t body = tag_end(at_ + opening, "raw");
    if (body == kNone) return false;
    const int line = line_;
    const char first_sign = text_[body - 3];
    move(body - at_);
    // A raw tag's own line end stays: trim_blocks does not reach it.
    if (first_sign == '-') skip_space();
    for (size_t tag = text_.find("{%", at_); tag != std::string::npos;
         tag = text_.find("{%", tag + 2)) {
      const char sign = tag + 2 < text_.size() ? text_[tag + 2] : ' ';
      const size_t end = tag_end(tag + (sign == '-' || sign == '+' ? 3 : 2), "endraw");
      if (end == kNone) continue;
      const std::string_view data = before_tag(rest().substr(0, tag - at_), '%', sign);
      if (!data.empty()) push(TokenKind::kData, data);
      const char last_sign = text_[end - 3];
      move(end - at_);
      after_tag(last_sign, true);
      return true;
    }
    fail_at(line, "a raw block has no {% endraw %}");
  }

  /// The byte behind `word [-+]%}` with blanks around the word, from byte `from`; none if not
  /// there.
  size_t tag_end(size_t from, std::string_view word) const {
    const auto skip = [&](size_t i) {
      while (i < text_.size() && is_space(static_cast<unsigned char>(text_[i]))) ++i;
      return i;
    };
    from = skip(from);
    if (text_.compare(from, word.size(), word) != 0) return kNone;
    from = skip(from + word.size());
    const bool plus = word == "endraw" && text_.compare(from, 1, "+") == 0;
    if (text_.compare(from, 1, "-") == 0 || plus) ++from;
    return text_.compare(from, 2, "%}") == 0 ? from + 2 : kNone;
  }

  void read_expression(std::string_view closing) {
    const int line = line_;
    std::string brackets;
    while (true) {
      skip_space();
      if (rest().empty()) {
        if (!brackets.empty()) fail_at(line, fmt::format("a '{}' is not closed", brackets.back()));
        fail_at(line, fmt::format("a tag is not closed: expected '{}'", closing));
      }
      if (brackets.empty() && read_closing(closing)) return;
      if (!read_number() && !read_name() && !read_string()) read_operator(brackets);
    }
  }

  bool read_closing(std::string_view closing) {
    const bool block = closing == "%}";
    const char sign = starts("-") || (block && starts("+")) ? rest()[0] : ' ';
    if (rest().substr(sign == ' ' ? 0 : 1, 2) != closing) return false;
    push(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, "");
    move(sign == ' ' ? 2 : 3);
    after_tag(sign, block);
    return true;
  }

  bool read_number() {
    const bool after_dot = at_ > 0 && text_[at_ - 1] == '.';
    const NumberLiteral number = scan_number(rest(), !after_dot);
    if (number.bytes == 0) return false;
    if (number.too_large) fail_at(line_, "an integer is too large: expected at most 2^63 - 1");
    push(number.is_float ? TokenKind::kFloat : TokenKind::kInteger, rest().substr(0, number.bytes));
    tokens_.back().integer = number.integer;
    tokens_.back().real = number.real;
    move(number.bytes);
    return true;
  }

  bool read_name() {
    const size_t bytes = scan_name(rest());
    if (bytes == 0) return false;
    push(TokenKind::kName, rest().substr(0, bytes));
    move(bytes);
    return true;
  }

  bool read_string() {
    if (!starts("'") && !starts("\"")) return false;
    const char quote = rest()[0];
    size_t end = 1;
    while (end < rest().size() && rest()[end] != quote) end += rest()[end] == '\\' ? 2 : 1;
    if (end >= rest().size()) fail_at(line_, "a string is not closed");
    std::string value;
    if (!unescape(rest().substr(1, end - 1), value)) fail_at(line_, "a string has a bad escape");
    push(TokenKind::kString, value);
    move(end + 1);
    return true;
  }

  void read_operator(std::string& brackets) {
    static constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto found = std::find_if(kOperators.begin(), kOperators.end(),
                                    [&](std::string_view text) { return starts(text); });
    if (found == kOperators.end())
      fail_at(line_, "unexpected character " + quote(rest().substr(0, point_bytes(rest()))));
    const char c = (*found)[0];
    if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty()) fail_at(line_, fmt::format("unexpected '{}'", c));
      if (brackets.back() != c)
        fail_at(line_, fmt::format("unexpected '{}': expected '{}'", c, brackets.back()));
      brackets.pop_back();
    }
    push(TokenKind::kOperator, *found);
    move(found->size());
  }

  const std::string text_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

void fail_at(int line, std::string_view what) {
  throw FormatError(fmt::format("chat template, line {}: {}.", line, what));
}

std::vector<Token> tokenize(std::string_view source) {
  if (source.size() > kMaxSource)
    throw FormatError(fmt::format("chat template: it is too large: expected at most {}, got {}.",
                                  human_bytes(kMaxSource), human_bytes(source.size())));
  return Lexer(source).run();
}

}  // namespace peft::jinja
