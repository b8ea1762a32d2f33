#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/operators.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

constexpr int kMaxWidth = 4096;

struct Conversion {
  std::string key = {};
  bool left = false, zero = false, plus = false, blank = false, alternate = false;
  int width = 0, precision = -1;
  char letter = 's';
};

[[noreturn]] void bad_format(std::string_view what) {
  throw ConfigError(fmt::format("chat template: format string: {}.", what));
}

class Formatter {
 public:
  Formatter(Engine& engine, const std::string& format, const Value& arguments)
      : engine_(engine), format_(format), arguments_(arguments) {}

  std::string run() {
    std::string out;
    while (at_ < format_.size()) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      out.append(format_, at_, percent - at_);
      at_ = percent;
      if (at_ < format_.size()) out += next_conversion();
    }
    const auto* tuple = arguments_.as<Tuple>();
    const size_t given = tuple != nullptr ? tuple->data->items.size() : 1;
    const bool by_name = arguments_.dict() != nullptr;
    if (!by_name && used_ < given && (tuple != nullptr || arguments_.sequence() == nullptr))
      bad_format("not all arguments are used");
    return out;
  }

 private:
  char peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  int number() {
    if (peek() == '*') {
      ++at_;
      const Value value = next_argument({});
      if (!value.is_integer()) wrong_type("format string", "int", value);
      return static_cast<int>(std::clamp<int64_t>(value.integer(), 0, kMaxWidth));
    }
    int value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_)
      value = std::min(value * 10 + (peek() - '0'), kMaxWidth);
    return value;
  }

  std::string next_conversion() {
    ++at_;
    Conversion c;
    if (peek() == '(') {
      const size_t end = format_.find(')', at_);
      if (end == std::string::npos) bad_format("a key is not closed");
      c.key = format_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
      if (arguments_.dict() == nullptr) bad_format("it needs a dict");
    }
    for (;; ++at_) {
      if (peek() == '-')
        c.left = true;
      else if (peek() == '0')
        c.zero = true;
      else if (peek() == '+')
        c.plus = true;
      else if (peek() == ' ')
        c.blank = true;
      else if (peek() == '#')
        c.alternate = true;
      else
        break;
    }
    c.width = number();
    if (peek() == '.') {
      ++at_;
      c.precision = number();
    }
    if (at_ >= format_.size()) bad_format("it ends inside of a conversion");
    c.letter = format_[at_++];
    if (c.letter == '%') return "%";
    return padded(c, converted(c, next_argument(c.key)));
  }

  Value next_argument(const std::string& key) {
    if (!key.empty()) {
      const Value* value = arguments_.dict()->find(key);
      if (value == nullptr) bad_format("key '" + key + "' is missing");
      return *value;
    }
    if (const auto* tuple = arguments_.as<Tuple>()) {
      if (used_ >= tuple->data->items.size()) bad_format("there are too few arguments");
      return tuple->data->items[used_++];
    }
    if (used_++ > 0) bad_format("there are too few arguments");
    return arguments_;
  }

  std::string converted(const Conversion& c, const Value& value) {
    switch (c.letter) {
      case 's':
      case 'r':
      case 'a': {
        engine_.budget().spend_on(value);
        const std::string text = c.letter == 's' ? to_text(value) : to_repr(value);
        return c.precision < 0
                   ? text
                   : text.substr(0, byte_of_point(text, static_cast<size_t>(c.precision)));
      }
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return integer_text(c, value);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return float_text(c, value);
      case 'c': {
        if (value.is_string() && count_points(value.text()) == 1) return value.text();
        if (!value.is_integer() || value.integer() < 0 || value.integer() > 0x10FFFF)
          bad_format("%c needs one character");
        std::string text;
        append_point(text, static_cast<int32_t>(value.integer()));
        return text;
      }
      default:
        bad_format(fmt::format("conversion '{}' is unknown", c.letter));
    }
  }

  static std::string with_sign(const Conversion& c, bool is_negative, const std::string& digits) {
    return (is_negative ? "-" : c.plus ? "+" : c.blank ? " " : "") + digits;
  }

  static std::string integer_text(const Conversion& c, const Value& value) {
    const bool decimal = c.letter == 'd' || c.letter == 'i' || c.letter == 'u';
    if (!value.is_integer() && !(decimal && value.is_number() && std::abs(value.number()) < 9e18))
      wrong_type("format string", "a number", value);
    const int64_t number =
        value.is_integer() ? value.integer() : static_cast<int64_t>(value.number());
    const uint64_t size =
        number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    std::string digits = c.letter == 'x'   ? fmt::format("{:x}", size)
                         : c.letter == 'X' ? fmt::format("{:X}", size)
                         : c.letter == 'o' ? fmt::format("{:o}", size)
                                           : fmt::format("{}", size);
    if (static_cast<int>(digits.size()) < c.precision)
      digits.insert(0, static_cast<size_t>(c.precision) - digits.size(), '0');
    if (c.alternate && !decimal) digits = std::string("0") + c.letter + digits;
    return with_sign(c, number < 0, digits);
  }

  static std::string float_text(const Conversion& c, const Value& value) {
    if (!value.is_number()) wrong_type("format string", "a number", value);
    const double number = value.number();
    const int precision = c.precision < 0 ? 6 : c.precision;
    const std::string spec = std::string("{:") + (c.alternate ? "#" : "") + ".{}" + c.letter + "}";
    return with_sign(c, std::signbit(number),
                     fmt::format(fmt::runtime(spec), std::abs(number), precision));
  }

  static std::string padded(const Conversion& c, std::string text) {
    const size_t taken = count_points(text);
    if (taken >= static_cast<size_t>(c.width)) return text;
    const size_t room = static_cast<size_t>(c.width) - taken;
    if (c.left) return text.append(room, ' ');
    if (!c.zero || std::string_view("srac").find(c.letter) != std::string_view::npos)
      return text.insert(0, room, ' ');
    const size_t sign =
        text.empty() || std::string_view("+- ").find(text[0]) == std::string_view::npos ? 0 : 1;
    return text.insert(sign, room, '0');
  }

  Engine& engine_;
  const std::string& format_;
  const Value& arguments_;
  size_t at_ = 0, used_ = 0;
};

}  // namespace

std::string percent_format(Engine& engine, const std::string& format, const Value& arguments) {
  std::string text = Formatter(engine, format, arguments).run();
  engine.budget().spend_text(text.size());
  return text;
}

}  // namespace peft::jinja
