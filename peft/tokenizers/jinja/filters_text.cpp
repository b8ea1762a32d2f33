#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/tokenizers/jinja/filters.h"
#include "peft/tokenizers/jinja/operators.h"
#include "peft/tokenizers/jinja/string_methods.h"
#include "peft/tokenizers/jinja/text_case.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

std::string subject(Call& call) { return text_of(call.engine, call.args.at(0)); }

template <std::string (*kChange)(std::string_view)>
Value changed(Call& call) {
  const Bound bound(call, {"s"});
  return kChange(subject(call));
}

Value string_filter(Call& call) { return subject(call); }

Value escape(Call& call) {
  std::string result;
  for (const char c : subject(call)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&#34;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  call.engine.budget().spend_text(result.size());
  return result;
}

Value trim_filter(Call& call) {
  const Bound bound(call, {"value", "chars"});
  const bool blanks = !bound.has(1) || bound.required(1).is_none();
  const std::string text = subject(call), chars = blanks ? "" : bound.text(1, "");
  return stripped(text, {}, blanks ? nullptr : &chars);
}

Value replace_filter(Call& call) {
  const Bound bound(call, {"s", "old", "new", "count"});
  const bool all = !bound.has(3) || bound.required(3).is_none();
  return replaced(call.engine, subject(call), to_text(bound.required(1)),
                  to_text(bound.required(2)), all ? -1 : bound.integer(3, -1));
}

Value title_filter(Call& call) {
  const std::string text = subject(call);
  std::string result;
  bool starts = true;
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(point_bytes(rest))) {
    const std::string_view point = rest.substr(0, point_bytes(rest));
    result += starts ? upper(point) : lower(point);
    starts = is_space(first_point(point)) || point == "-" || point == "(" || point == "{" ||
             point == "[" || point == "<";
  }
  return result;
}

Value center_filter(Call& call) {
  const Bound bound(call, {"value", "width"});
  Call method{call.engine, "center", {subject(call), bound.get(1, int64_t{80})}};
  return find_string_method("center")(method);
}

Value indent(Call& call) {
  const Bound bound(call, {"s", "width", "first", "blank"});
  const Value width = bound.get(1, int64_t{4});
  if (!width.is_string() && !width.is_integer()) wrong_type("indent", "int or str", width);
  if (!width.is_string())
    call.engine.budget().spend_text(1, static_cast<size_t>(std::max<int64_t>(width.integer(), 0)));
  const std::string room =
      width.is_string()
          ? width.text()
          : std::string(static_cast<size_t>(std::max<int64_t>(width.integer(), 0)), ' ');
  if (!call.args.at(0).is_string()) wrong_type("indent", "str", call.args[0]);
  const Values lines = split_lines(call.args[0].text() + "\n");
  std::string result;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i].text();
    const bool indented = i == 0 ? bound.flag(2, false) : bound.flag(3, false) || !line.empty();
    call.engine.budget().spend_text(room.size() + line.size() + 1);
    if (i > 0) result += '\n';
    if (indented) result += room;
    result += line;
  }
  return result;
}

Value truncate(Call& call) {
  const Bound bound(call, {"s", "length", "killwords", "end", "leeway"});
  const std::string text = subject(call), end = bound.text(3, "...");
  const auto size = static_cast<int64_t>(count_points(text)),
             mark = static_cast<int64_t>(count_points(end));
  const int64_t length = bound.integer(1, 255), leeway = bound.integer(4, 5);
  if (length < mark || leeway < 0)
    throw ConfigError("chat template: truncate: the length is too small.");
  if (size <= length || size - length <= leeway) return text;
  std::string cut = text.substr(0, byte_of_point(text, static_cast<size_t>(length - mark)));
  if (!bound.flag(2, false)) cut = cut.substr(0, cut.rfind(' '));
  return cut + end;
}

Value wordcount(Call& call) {
  const std::string text = subject(call);
  int64_t words = 0;
  bool inside = false;
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(point_bytes(rest))) {
    const int32_t point = first_point(rest);
    const bool letter = point == '_' || is_of(CharClass::kAlnum, point);
    words += letter && !inside ? 1 : 0;
    inside = letter;
  }
  return words;
}

Value urlencode(Call& call) {
  static constexpr std::string_view kSafe = "_.-~/";
  std::string result;
  for (const char c : subject(call)) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    result += plain || kSafe.find(c) != std::string_view::npos
                  ? std::string(1, c)
                  : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  call.engine.budget().spend_text(result.size());
  return result;
}

Value format_filter(Call& call) {
  if (!call.args.at(0).is_string()) wrong_type("format", "str", call.args[0]);
  if (!call.args.empty() && !call.keywords.empty()) {
    DictData dict;
    for (const auto& [key, value] : call.keywords) dict.set(key, value);
    return percent_format(call.engine, call.args[0].text(), Value::dict(std::move(dict)));
  }
  return percent_format(call.engine, call.args[0].text(),
                        Value::tuple(Values(call.args.begin() + 1, call.args.end())));
}

Value tojson(Call& call) {
  const Bound bound(call, {"x", "ensure_ascii", "indent", "separators", "sort_keys"});
  JsonLook look{.ensure_ascii = bound.flag(1, false), .sort_keys = bound.flag(4, false)};
  if (bound.has(2) && !bound.required(2).is_none()) {
    const Value& wished = bound.required(2);
    if (!wished.is_string() && (!wished.is_integer() || wished.integer() > 64))
      wrong_type("tojson", "an indent of at most 64", wished);
    look.indent =
        wished.is_string()
            ? wished.text()
            : std::string(static_cast<size_t>(std::max<int64_t>(wished.integer(), 0)), ' ');
    if (look.indent->size() > 64)
      throw ConfigError("chat template: tojson: the indent is too long.");
    look.item_separator = ",";
  }
  if (bound.has(3) && !bound.required(3).is_none()) {
    const Values pair = call.engine.iterate(bound.required(3));
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
      throw ConfigError("chat template: tojson: separators: expected two texts.");
    look.item_separator = pair[0].text();
    look.key_separator = pair[1].text();
  }
  call.engine.budget().spend_on(bound.required(0));
  std::string text = to_json(bound.required(0), look);
  call.engine.budget().spend_text(text.size());
  return text;
}

/// json.loads, as the templates that take a tool call's arguments as text expect it.
Value from_json(Call& call) {
  const Bound bound(call, {"value"});
  bound.required(0);
  const std::string text = bound.text(0, "");
  call.engine.budget().spend_text(text.size());
  try {
    Value value = Value::from_json(parse_json(text, "from_json"));
    call.engine.budget().spend_on(value);
    return value;
  } catch (const FormatError& error) {
    throw ConfigError(fmt::format("chat template: {}", error.what()));
  }
}

std::optional<double> parsed_float(std::string text) {
  text = lower(stripped(text));
  std::erase(text, '_');
  if (text.starts_with("+")) text.erase(0, 1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) return std::strtod(text.c_str(), nullptr);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

std::optional<int64_t> parsed_integer(std::string text, int base) {
  text = lower(stripped(text));
  std::erase(text, '_');
  const bool negative = text.starts_with("-");
  if (negative || text.starts_with("+")) text.erase(0, 1);
  const std::string prefix = base == 16 ? "0x" : base == 8 ? "0o" : base == 2 ? "0b" : "";
  if (!prefix.empty() && text.starts_with(prefix)) text.erase(0, 2);
  if (text.empty() || text[0] == '-') return {};
  if (negative) text.insert(0, "-");
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (end != text.data() + text.size()) return {};
  if (error == std::errc::result_out_of_range)
    throw ConfigError("chat template: int: the number is too large: expected at most 2^63 - 1.");
  if (error != std::errc()) return {};
  return number;
}

std::optional<int64_t> whole(double number) {
  if (!std::isfinite(number)) return {};
  if (std::abs(number) >= 9.2e18) throw ConfigError("chat template: int: the number is too large.");
  return static_cast<int64_t>(number);
}

Value int_filter(Call& call) {
  const Bound bound(call, {"value", "default", "base"});
  const Value& value = bound.required(0);
  check_defined(value);
  if (value.is_integer()) return value.integer();
  std::optional<int64_t> result;
  if (value.is_number()) result = whole(value.number());
  if (value.is_string()) {
    const int64_t base = bound.integer(2, 10);
    if (base < 2 || base > 36) throw ConfigError("chat template: int: base: expected 2 to 36.");
    result = parsed_integer(value.text(), static_cast<int>(base));
    if (!result) {
      const std::optional<double> real = parsed_float(value.text());
      if (real) result = whole(*real);
    }
  }
  return result ? Value(*result) : bound.get(1, int64_t{0});
}

Value float_filter(Call& call) {
  const Bound bound(call, {"value", "default"});
  const Value& value = bound.required(0);
  check_defined(value);
  if (value.is_number()) return value.number();
  const std::optional<double> number =
      value.is_string() ? parsed_float(value.text()) : std::nullopt;
  return number ? Value(*number) : bound.get(1, 0.0);
}

Value abs_filter(Call& call) {
  const Value& value = call.args.at(0);
  if (!value.is_number()) wrong_type("abs", "a number", value);
  return less(value, int64_t{0}) ? negative(value) : positive(value);
}

/// Python's round(): to even where the decimal digits say exactly half.
double rounded(double number, int64_t precision) {
  if (!std::isfinite(number) || precision > 300) return number;
  if (precision <= 0) {
    const double scale = std::pow(10.0, static_cast<double>(-std::max<int64_t>(precision, -300)));
    return std::nearbyint(number / scale) * scale;
  }
  const std::string digits = fmt::format("{:.{}f}", number, precision);
  return std::strtod(digits.c_str(), nullptr);
}

Value round_filter(Call& call) {
  const Bound bound(call, {"value", "precision", "method"});
  const Value& value = bound.required(0);
  if (!value.is_number()) wrong_type("round", "a number", value);
  const int64_t precision = bound.integer(1, 0);
  const std::string method = bound.text(2, "common");
  if (method == "common") {
    if (!value.is_integer()) return rounded(value.number(), precision);
    // Python's round() of an int is an int.
    if (precision >= 0) return value.integer();
    return whole(rounded(value.number(), precision)).value_or(0);
  }
  if (method != "ceil" && method != "floor")
    throw ConfigError("chat template: round: method: expected 'common', 'ceil' or 'floor'.");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = value.number() * scale;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

}  // namespace

const FunctionTable& text_filters() {
  static const FunctionTable kTable = {
      {"abs", abs_filter},         {"capitalize", changed<capitalized>},
      {"center", center_filter},   {"e", escape},
      {"escape", escape},          {"forceescape", escape},
      {"from_json", from_json},    {"float", float_filter},
      {"format", format_filter},   {"indent", indent},
      {"int", int_filter},         {"lower", changed<lower>},
      {"replace", replace_filter}, {"round", round_filter},
      {"safe", string_filter},     {"string", string_filter},
      {"title", title_filter},     {"tojson", tojson},
      {"trim", trim_filter},       {"truncate", truncate},
      {"upper", changed<upper>},   {"urlencode", urlencode},
      {"wordcount", wordcount}};
  return kTable;
}

}  // namespace peft::jinja
