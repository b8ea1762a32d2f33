#include <fmt/format.h>

#include <cctype>

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/string_methods.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

[[noreturn]] void bad(std::string_view what) {
  throw ConfigError(fmt::format("chat template: format: {}.", what));
}

/// Only what both Python and fmt understand alike passes:
/// [[fill]align][sign][#][0][width][.n][type].
void check_spec(std::string_view spec) {
  int digits = 0;
  for (const char c : spec) {
    digits = std::isdigit(static_cast<unsigned char>(c)) != 0 ? digits + 1 : 0;
    const bool known = std::isprint(static_cast<unsigned char>(c)) != 0 && c != '{' && c != '}' &&
                       c != ',' && c != '_' && c != 'L' && c != '?' && c != 'p' && c != 'n' &&
                       c != '%';
    if (!known || digits > 3) bad(fmt::format("the specification '{}' is not served", spec));
  }
}

std::string formatted(const Value& value, const std::string& spec) {
  if (spec.empty()) return to_text(value);
  check_spec(spec);
  const std::string pattern = "{:" + spec + "}";
  try {
    if (value.is_string()) return fmt::format(fmt::runtime(pattern), value.text());
    if (value.is_integer() &&
        std::string_view("fFeEgG").find(spec.back()) == std::string_view::npos)
      return fmt::format(fmt::runtime(pattern), value.integer());
    if (value.is_number()) return fmt::format(fmt::runtime(pattern), value.number());
  } catch (const fmt::format_error&) {
    bad(fmt::format("the specification '{}' does not suit a value of type '{}'", spec,
                    value.type_name()));
  }
  wrong_type("format", "str or a number", value);
}

class BraceFormatter {
 public:
  explicit BraceFormatter(Call& call) : call_(call), pattern_(call.args[0].text()) {}

  std::string run() {
    std::string out;
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_++];
      if (c == '{' || c == '}') {
        if (at_ < pattern_.size() && pattern_[at_] == c) {
          out += pattern_[at_++];
        } else if (c == '}') {
          bad("a '}' stands alone");
        } else {
          out += field();
        }
      } else {
        out += c;
      }
    }
    return out;
  }

 private:
  std::string field() {
    const size_t end = pattern_.find('}', at_);
    if (end == std::string::npos) bad("a field is not closed");
    std::string name = pattern_.substr(at_, end - at_), spec;
    at_ = end + 1;
    if (const size_t colon = name.find(':'); colon != std::string::npos) {
      spec = name.substr(colon + 1);
      name.erase(colon);
    }
    bool as_repr = false;
    if (const size_t mark = name.find('!'); mark != std::string::npos) {
      const std::string conversion = name.substr(mark + 1);
      if (conversion != "r" && conversion != "s") bad("the conversion is unknown");
      as_repr = conversion == "r";
      name.erase(mark);
    }
    const Value value = argument(name);
    call_.engine.budget().spend_on(value);
    const std::string text = formatted(as_repr ? Value(to_repr(value)) : value, spec);
    call_.engine.budget().spend_text(text.size());
    return text;
  }

  Value argument(const std::string& name) {
    const bool numeric = name.find_first_not_of("0123456789") == std::string::npos;
    if (numeric) {
      if (name.size() > 6) bad("a field's number is too large");
      const size_t index = name.empty() ? next_++ : std::stoul(name);
      if (index + 1 >= call_.args.size()) bad("there are too few arguments");
      return call_.args[index + 1];
    }
    for (const auto& [keyword, value] : call_.keywords) {
      if (keyword == name) return value;
    }
    bad("there is no argument '" + name + "'");
  }

  Call& call_;
  const std::string& pattern_;
  size_t at_ = 0, next_ = 0;
};

}  // namespace

std::string brace_format(Call& call) { return BraceFormatter(call).run(); }

}  // namespace peft::jinja
