#include "peft/tokenizers/jinja/string_methods.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/text_case.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

constexpr auto kNotFound = std::string_view::npos;

const std::string& self(const Call& call) { return call.args[0].text(); }

template <StripSides kSides>
Value strip(Call& call) {
  const Bound bound(call, {"self", "chars"});
  const bool blanks = !bound.has(1) || bound.required(1).is_none();
  const std::string chars = blanks ? "" : bound.text(1, "");
  call.engine.budget().spend_steps(
      static_cast<int64_t>((self(call).size() / 64 + 1) * (chars.size() + 1)));
  return stripped(self(call), kSides, blanks ? nullptr : &chars);
}
constexpr StripSides kBoth = {}, kLeft = {.right = false}, kRight = {.left = false};

template <std::string (*kChange)(std::string_view)>
Value changed(Call& call) {
  const Bound bound(call, {"self"});
  call.engine.budget().spend_text(self(call).size());
  return kChange(self(call));
}

template <CharClass kClass>
Value is_class(Call& call) {
  return all_of_class(self(call), kClass);
}

template <CharClass kClass>
Value is_case(Call& call) {
  return has_only_case(self(call), kClass);
}

Value is_ascii(Call& call) {
  return std::all_of(self(call).begin(), self(call).end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

Value is_title(Call& call) {
  return self(call) == titled(self(call)) && upper(self(call)) != lower(self(call));
}

Value split_at_blanks_from_right(std::string_view text, int64_t limit) {
  Values pieces;
  for (text = stripped(text, kRight); !text.empty(); text = stripped(text, kRight)) {
    if (limit-- == 0) {
      pieces.emplace_back(stripped(text, kRight));
      break;
    }
    size_t start = text.size();
    while (start > 0) {
      size_t begin = start - 1;
      while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
      if (is_space(first_point(text.substr(begin)))) break;
      start = begin;
    }
    pieces.emplace_back(text.substr(start));
    text = text.substr(0, start);
  }
  std::reverse(pieces.begin(), pieces.end());
  return Value::list(std::move(pieces));
}

Values split_at(std::string_view text, std::string_view separator, int64_t limit, bool from_right) {
  Values pieces;
  while (limit-- != 0) {
    const size_t place = from_right ? text.rfind(separator) : text.find(separator);
    if (place == kNotFound) break;
    const size_t behind = place + separator.size();
    pieces.emplace_back(from_right ? text.substr(behind) : text.substr(0, place));
    text = from_right ? text.substr(0, place) : text.substr(behind);
  }
  pieces.emplace_back(text);
  if (from_right) std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

template <bool kFromRight>
Value split(Call& call) {
  const Bound bound(call, {"self", "sep", "maxsplit"});
  const int64_t limit = bound.integer(2, -1);
  call.engine.budget().spend_steps(static_cast<int64_t>(self(call).size()));
  if (!bound.has(1) || bound.required(1).is_none())
    return kFromRight ? split_at_blanks_from_right(self(call), limit)
                      : Value::list(split_blanks(self(call), limit));
  const std::string separator = bound.text(1, "");
  if (separator.empty()) throw ConfigError("chat template: split: the separator is empty.");
  return Value::list(split_at(self(call), separator, limit, kFromRight));
}

Value splitlines(Call& call) {
  const Bound bound(call, {"self"});
  call.engine.budget().spend_steps(static_cast<int64_t>(self(call).size()));
  return Value::list(split_lines(self(call)));
}

template <bool kAtEnd>
Value starts_or_ends(Call& call) {
  const Bound bound(call, {"self", "prefix"});
  const auto fits = [&](const Value& piece) {
    if (!piece.is_string()) wrong_type(call.name, "str or a tuple of str", piece);
    const std::string_view text = self(call), part = piece.text();
    return kAtEnd ? text.ends_with(part) : text.starts_with(part);
  };
  const Value& wanted = bound.required(1);
  const auto* tuple = wanted.as<Tuple>();
  if (tuple == nullptr) return fits(wanted);
  return std::any_of(tuple->data->items.begin(), tuple->data->items.end(), fits);
}

template <bool kFromRight, bool kMustBeThere>
Value find(Call& call) {
  const Bound bound(call, {"self", "sub", "start", "end"});
  const std::string& text = self(call);
  call.engine.budget().spend_on(call.args[0]);
  const auto size = static_cast<int64_t>(count_points(text));
  const auto point = [&](size_t index, int64_t fallback) {
    const int64_t wished = bound.integer(index, fallback);
    return std::clamp<int64_t>(wished < 0 ? wished + size : wished, 0, size);
  };
  const size_t first = byte_of_point(text, static_cast<size_t>(point(2, 0)));
  const size_t last = byte_of_point(text, static_cast<size_t>(point(3, size)));
  const std::string sub = bound.text(1, "");
  const std::string_view part =
      first <= last ? std::string_view(text).substr(first, last - first) : std::string_view();
  size_t place = kFromRight ? part.rfind(sub) : part.find(sub);
  if (first > last) place = kNotFound;
  if (place != kNotFound) return static_cast<int64_t>(count_points(text.substr(0, first + place)));
  if (kMustBeThere) throw ConfigError("chat template: " + call.name + ": the text is not found.");
  return int64_t{-1};
}

Value count(Call& call) {
  const Bound bound(call, {"self", "sub"});
  const std::string sub = bound.text(1, "");
  call.engine.budget().spend_on(call.args[0]);
  if (sub.empty()) return static_cast<int64_t>(count_points(self(call)) + 1);
  int64_t found = 0;
  for (size_t at = self(call).find(sub); at != kNotFound;
       at = self(call).find(sub, at + sub.size()))
    ++found;
  return found;
}

Value replace(Call& call) {
  const Bound bound(call, {"self", "old", "new", "count"});
  bound.required(2);
  return replaced(call.engine, self(call), bound.text(1, ""), bound.text(2, ""),
                  bound.integer(3, -1));
}

Value join(Call& call) {
  const Bound bound(call, {"self", "iterable"});
  std::string text;
  bool first = true;
  for (const Value& item : call.engine.iterate(bound.required(1))) {
    if (!item.is_string()) wrong_type("join", "str", item);
    call.engine.budget().spend_text(item.text().size() + self(call).size());
    if (!first) text += self(call);
    first = false;
    text += item.text();
  }
  return text;
}

template <bool kFromRight>
Value partition(Call& call) {
  const Bound bound(call, {"self", "sep"});
  const std::string separator = bound.text(1, "");
  if (separator.empty()) throw ConfigError("chat template: partition: the separator is empty.");
  const std::string_view text = self(call);
  const size_t place = kFromRight ? text.rfind(separator) : text.find(separator);
  if (place == kNotFound)
    return kFromRight ? Value::tuple({"", "", text}) : Value::tuple({text, "", ""});
  return Value::tuple({text.substr(0, place), separator, text.substr(place + separator.size())});
}

template <bool kAtEnd>
Value remove_affix(Call& call) {
  const Bound bound(call, {"self", "affix"});
  const std::string affix = bound.text(1, "");
  const std::string_view text = self(call);
  if (kAtEnd) return text.ends_with(affix) ? text.substr(0, text.size() - affix.size()) : text;
  return text.starts_with(affix) ? text.substr(affix.size()) : text;
}

enum class Side { kLeft, kRight, kCenter };

template <Side kSide>
Value justify(Call& call) {
  const Bound bound(call, {"self", "width", "fillchar"});
  bound.required(1);
  const std::string fill = bound.text(2, " ");
  if (count_points(fill) != 1) throw ConfigError("chat template: the fill is not one character.");
  const auto size = static_cast<int64_t>(count_points(self(call)));
  const int64_t width = bound.integer(1, 0), room = std::max<int64_t>(width - size, 0);
  call.engine.budget().spend_text(fill.size(), static_cast<size_t>(room));
  // Python puts the odd blank to the left where the width is odd.
  const int64_t left = kSide == Side::kRight  ? room
                       : kSide == Side::kLeft ? 0
                                              : room / 2 + (room & width & 1);
  std::string text;
  for (int64_t i = 0; i < left; ++i) text += fill;
  text += self(call);
  for (int64_t i = left; i < room; ++i) text += fill;
  return text;
}

Value zfill(Call& call) {
  const Bound bound(call, {"self", "width"});
  bound.required(1);
  const auto size = static_cast<int64_t>(count_points(self(call)));
  const auto room = static_cast<size_t>(std::max<int64_t>(bound.integer(1, 0) - size, 0));
  call.engine.budget().spend_text(1, room);
  std::string text = self(call);
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  return text.insert(sign ? 1 : 0, room, '0');
}

Value format(Call& call) { return brace_format(call); }

}  // namespace

std::string replaced(Engine& engine, const std::string& text, const std::string& old,
                     const std::string& by, int64_t count) {
  std::string result;
  const uint64_t limit =
      count < 0 ? std::numeric_limits<uint64_t>::max() : static_cast<uint64_t>(count);
  size_t at = 0;
  for (uint64_t done = 0; done < limit; ++done) {
    const size_t place = old.empty() ? at : text.find(old, at);
    if (place == std::string::npos) break;
    engine.budget().spend_text(place - at + by.size() + 1);
    result.append(text, at, place - at);
    result += by;
    at = place + old.size();
    if (!old.empty()) continue;
    // An empty `old` stands between all characters and at both ends.
    const size_t bytes = point_bytes(std::string_view(text).substr(at));
    if (bytes == 0) break;
    result.append(text, at, bytes);
    at += bytes;
  }
  engine.budget().spend_text(text.size() - at);
  return result.append(text, at);
}

Values split_blanks(std::string_view text, int64_t limit) {
  Values pieces;
  for (text = stripped(text, kLeft); !text.empty(); text = stripped(text, kLeft)) {
    if (limit-- == 0) {
      pieces.emplace_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && !is_space(first_point(text.substr(end))))
      end += point_bytes(text.substr(end));
    pieces.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

Values split_lines(std::string_view text) {
  const auto ends_line = [](int32_t c) {
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
  };
  Values lines;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const size_t bytes = rest.substr(0, 2) == "\r\n" ? 2 : point_bytes(rest);
    if (ends_line(first_point(rest))) {
      lines.emplace_back(text.substr(start, at - start));
      start = at + bytes;
    }
    at += bytes;
  }
  if (start < text.size()) lines.emplace_back(text.substr(start));
  return lines;
}

Function find_string_method(std::string_view name) {
  static const std::unordered_map<std::string_view, Function> kTable = {
      {"strip", strip<kBoth>},
      {"lstrip", strip<kLeft>},
      {"rstrip", strip<kRight>},
      {"upper", changed<upper>},
      {"lower", changed<lower>},
      {"casefold", changed<lower>},
      {"capitalize", changed<capitalized>},
      {"title", changed<titled>},
      {"swapcase", changed<case_swapped>},
      {"isalpha", is_class<CharClass::kAlpha>},
      {"isalnum", is_class<CharClass::kAlnum>},
      {"isdecimal", is_class<CharClass::kDecimal>},
      {"isdigit", is_class<CharClass::kDigit>},
      {"isnumeric", is_class<CharClass::kNumeric>},
      {"isspace", is_class<CharClass::kSpace>},
      {"isupper", is_case<CharClass::kUpper>},
      {"islower", is_case<CharClass::kLower>},
      {"isascii", is_ascii},
      {"istitle", is_title},
      {"split", split<false>},
      {"rsplit", split<true>},
      {"splitlines", splitlines},
      {"startswith", starts_or_ends<false>},
      {"endswith", starts_or_ends<true>},
      {"find", find<false, false>},
      {"rfind", find<true, false>},
      {"index", find<false, true>},
      {"rindex", find<true, true>},
      {"count", count},
      {"replace", replace},
      {"join", join},
      {"partition", partition<false>},
      {"rpartition", partition<true>},
      {"removeprefix", remove_affix<false>},
      {"removesuffix", remove_affix<true>},
      {"ljust", justify<Side::kLeft>},
      {"rjust", justify<Side::kRight>},
      {"center", justify<Side::kCenter>},
      {"zfill", zfill},
      {"format", format}};
  const auto place = kTable.find(name);
  return place == kTable.end() ? nullptr : place->second;
}

}  // namespace peft::jinja
