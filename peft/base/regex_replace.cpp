#include "peft/base/regex_replace.h"

#include <algorithm>
#include <cctype>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

size_t next_character(std::string_view text, size_t at) {
  do ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

// The names of a pattern's capturing groups in their order; "" for those without one.
std::vector<std::string> group_names(std::string_view pattern) {
  std::vector<std::string> names;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (in_class) {
      // A bracket right behind the opening one, or behind its ^, stands for itself.
      in_class = pattern[i] != ']';
    } else if (pattern[i] == '[') {
      in_class = true;
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') ++i;
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') ++i;
    } else if (pattern[i] == '(') {
      const std::string_view rest = pattern.substr(i + 1);
      if (rest.starts_with("?P<")) {
        names.emplace_back(rest.substr(3, rest.find('>') - 3));
      } else if (!rest.starts_with("?")) {
        names.emplace_back();
      }
    }
  }
  return names;
}

}  // namespace

class RegexReplacementParser {
 public:
  RegexReplacementParser(std::string_view pattern, std::string_view text, std::string_view where)
      : names_(group_names(pattern)), text_(text), where_(where) {}

  std::vector<RegexReplacement::Piece> parse() {
    while (at_ < text_.size()) {
      if (text_[at_] != '\\') {
        literal_ += text_[at_++];
      } else {
        ++at_;
        parse_escape();
      }
    }
    pieces_.push_back({literal_, RegexReplacement::kNoGroup});
    return pieces_;
  }

 private:
  void parse_escape() {
    if (at_ == text_.size()) fail("it ends with a single backslash");
    const char letter = text_[at_++];
    if (letter == 'g') return parse_reference();
    if (is_digit(letter)) return parse_number(letter);
    static constexpr std::string_view kLetters = "abfnrtv\\", kBytes = "\a\b\f\n\r\t\v\\";
    const size_t known = kLetters.find(letter);
    if (known != std::string_view::npos) {
      literal_ += kBytes[known];
    } else if (std::isalpha(static_cast<unsigned char>(letter))) {
      fail(std::string("it has the unknown escape \\") + letter);
    } else {
      literal_ += '\\';
      literal_ += letter;
    }
  }

  void parse_number(char first) {
    if (first == '0') fail("it has an octal escape, which is not served");
    size_t number = static_cast<size_t>(first - '0');
    if (at_ < text_.size() && is_digit(text_[at_])) {
      number = 10 * number + static_cast<size_t>(text_[at_++] - '0');
    }
    add_group(number);
  }

  void parse_reference() {
    const size_t end = text_.find('>', at_);
    if (at_ == text_.size() || text_[at_] != '<' || end == std::string_view::npos) {
      fail("it has \\g without <a group>");
    }
    const std::string name(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    if (!name.empty() && name.size() < 4 && std::all_of(name.begin(), name.end(), is_digit)) {
      return add_group(std::stoul(name));
    }
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (name.empty() || found == names_.end()) fail("it names the unknown group " + quote(name));
    add_group(static_cast<size_t>(found - names_.begin()) + 1);
  }

  void add_group(size_t number) {
    if (number > names_.size()) fail("it names the unknown group " + std::to_string(number));
    pieces_.push_back({literal_, number});
    literal_.clear();
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw ConfigError(std::string(where_) + ": the replacement " + quote(text_) + ": " + reason +
                      ": expected the language of Python's re.sub with groups of the pattern, "
                      "which has " +
                      std::to_string(names_.size()) + ".");
  }

  std::vector<std::string> names_;
  std::string_view text_, where_;
  size_t at_ = 0;
  std::string literal_;
  std::vector<RegexReplacement::Piece> pieces_;
};

RegexReplacement::RegexReplacement(std::string_view pattern, std::string_view replacement,
                                   std::string_view where)
    : regex_(pattern, Regex::Syntax::kPython, where),
      pieces_(RegexReplacementParser(pattern, replacement, where).parse()) {}

RegexReplacement::Result RegexReplacement::operator()(std::string_view text) const {
  Result result;
  size_t copied = 0, from = 0;
  while (from <= text.size()) {
    const auto match = regex_.search(text, from);
    if (!match) break;
    ++result.count;
    result.text.append(text.substr(copied, match->begin - copied));
    for (const Piece& piece : pieces_) {
      result.text += piece.literal;
      if (piece.group >= match->groups.size()) continue;
      if (const auto& group = match->groups[piece.group]) {
        result.text.append(text.substr(group->begin, group->end - group->begin));
      }
    }
    copied = match->end;
    from = match->end > match->begin ? match->end : next_character(text, match->end);
  }
  if (copied < text.size()) result.text.append(text.substr(copied));
  return result;
}

}  // namespace peft
