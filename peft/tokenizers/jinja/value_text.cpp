#include "peft/tokenizers/jinja/value_text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>

#include "peft/base/json_text.h"
#include "peft/tokenizers/jinja/runtime.h"

namespace peft::jinja {
namespace {

struct Point {
  int32_t code;  // -1: not UTF-8
  size_t bytes;
};

Point read_point(std::string_view text) {
  utf8proc_int32_t code = -1;
  const auto bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                      static_cast<utf8proc_ssize_t>(text.size()), &code);
  if (bytes <= 0) return {-1, 1};
  return {code, static_cast<size_t>(bytes)};
}

/// Python's str.isprintable for one code point.
bool is_printable(int32_t point) {
  if (point == ' ') return true;
  switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string escape_of(int32_t point) {
  if (point < 0x100) return fmt::format("\\x{:02x}", point);
  if (point < 0x10000) return fmt::format("\\u{:04x}", point);
  return fmt::format("\\U{:08x}", point);
}

std::string float_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  return python_float(number);
}

std::string joined_reprs(const Values& items) {
  std::string text;
  for (const Value& item : items) text += (text.empty() ? "" : ", ") + to_repr(item);
  return text;
}

std::string dict_repr(const DictData& dict) {
  std::string text;
  for (const auto& [key, value] : dict.entries()) {
    if (!text.empty()) text += ", ";
    text += to_repr(key) + ": " + to_repr(value);
  }
  return "{" + text + "}";
}

}  // namespace

std::string to_text(const Value& value) {
  if (value.is_string()) return value.text();
  return value.is_undefined() ? "" : to_repr(value);
}

std::string to_repr(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.integer() != 0 ? "True" : "False";
  if (value.is_integer()) return fmt::format("{}", value.integer());
  if (value.is_number()) return float_text(value.number());
  if (value.is_string()) return python_quoted(value.text());
  if (const DictData* dict = value.dict()) return dict_repr(*dict);
  if (const Values* items = value.sequence()) {
    if (value.as<List>() != nullptr) return "[" + joined_reprs(*items) + "]";
    return "(" + joined_reprs(*items) + (items->size() == 1 ? ",)" : ")");
  }
  // Python prints addresses here, which no template can mean.
  return "<" + value.type_name() + ">";
}

std::string python_quoted(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string result(1, quote);
  while (!text.empty()) {
    const Point point = read_point(text);
    const std::string_view bytes = text.substr(0, point.bytes);
    if (point.code == quote || point.code == '\\') {
      result += '\\';
      result += bytes;
    } else if (point.code == '\n') {
      result += "\\n";
    } else if (point.code == '\r') {
      result += "\\r";
    } else if (point.code == '\t') {
      result += "\\t";
    } else if (point.code < 0) {
      result += escape_of(static_cast<unsigned char>(bytes[0]));
    } else if (is_printable(point.code)) {
      result += bytes;
    } else {
      result += escape_of(point.code);
    }
    text.remove_prefix(point.bytes);
  }
  return result + quote;
}

size_t count_points(std::string_view text) {
  size_t count = 0;
  while (!text.empty()) {
    text.remove_prefix(read_point(text).bytes);
    ++count;
  }
  return count;
}

size_t point_bytes(std::string_view text) { return text.empty() ? 0 : read_point(text).bytes; }

size_t byte_of_point(std::string_view text, size_t index) {
  size_t byte = 0;
  for (size_t i = 0; i < index && byte < text.size(); ++i)
    byte += read_point(text.substr(byte)).bytes;
  return byte;
}

int32_t first_point(std::string_view text) { return text.empty() ? -1 : read_point(text).code; }

void append_point(std::string& text, int32_t point) {
  utf8proc_uint8_t buffer[4];
  const auto bytes = utf8proc_encode_char(point, buffer);
  text.append(reinterpret_cast<const char*>(buffer), static_cast<size_t>(bytes));
}

bool is_space(int32_t point) {
  if (point < 0) return false;
  if (point < 0x80) return (point >= 9 && point <= 13) || (point >= 0x1c && point <= 0x20);
  if (point == 0x85) return true;
  const auto category = utf8proc_category(point);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

std::string_view stripped(std::string_view text, StripSides sides, const std::string* chars) {
  const auto goes = [&](std::string_view piece) {
    if (chars == nullptr) return is_space(first_point(piece));
    for (std::string_view rest = *chars; !rest.empty(); rest.remove_prefix(point_bytes(rest))) {
      if (rest.substr(0, point_bytes(rest)) == piece) return true;
    }
    return false;
  };
  while (sides.left && !text.empty() && goes(text.substr(0, point_bytes(text))))
    text.remove_prefix(point_bytes(text));
  while (sides.right && !text.empty()) {
    size_t start = text.size() - 1;  // back to the first byte of the last code point
    while (start > 0 && text.size() - start < 4 &&
           (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80)
      --start;
    if (start + read_point(text.substr(start)).bytes != text.size()) start = text.size() - 1;
    if (!goes(text.substr(start))) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

}  // namespace peft::jinja
