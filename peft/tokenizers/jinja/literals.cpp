#include "peft/tokenizers/jinja/literals.h"

#include <utf8proc.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

bool is_digit_of(char c, int base) {
  if (base <= 10) return c >= '0' && c < '0' + base;
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

/// Digits with single underscores between them; the digits alone are appended to `digits`.
size_t scan_digits(std::string_view text, int base, std::string& digits) {
  size_t end = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_digit_of(text[i], base)) {
      digits += text[i];
      end = i + 1;
    } else if (text[i] != '_' || i == 0 || text[i - 1] == '_') {
      break;
    }
  }
  return end;
}

NumberLiteral integer_of(const std::string& digits, int base, size_t bytes) {
  NumberLiteral number{.bytes = bytes};
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number.integer, base);
  number.too_large = error != std::errc() || end != digits.data() + digits.size();
  return number;
}

int base_of(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return 10;
  switch (text[1]) {
    case 'x':
    case 'X':
      return 16;
    case 'o':
    case 'O':
      return 8;
    case 'b':
    case 'B':
      return 2;
    default:
      return 10;
  }
}

/// ".5" and "e-3" behind the digits; 0 where neither is there.
size_t scan_fraction(std::string_view text, std::string& digits) {
  size_t end = 0;
  std::string part;
  if (text.size() > 1 && text[0] == '.') {
    const size_t bytes = scan_digits(text.substr(1), 10, part);
    if (bytes > 0) {
      digits += '.' + part;
      end = bytes + 1;
    }
  }
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    size_t sign = end + 1;
    if (sign < text.size() && (text[sign] == '+' || text[sign] == '-')) ++sign;
    part.clear();
    const size_t bytes = scan_digits(text.substr(std::min(sign, text.size())), 10, part);
    if (bytes > 0) {
      digits += 'e' + std::string(text.substr(end + 1, sign - end - 1)) + part;
      end = sign + bytes;
    }
  }
  return end;
}

/// \xNN, \uNNNN and \UNNNNNNNN: `size` hexadecimal digits behind the letter.
bool append_hex(std::string_view text, size_t size, std::string& value) {
  if (text.size() < size) return false;
  uint32_t point = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + size, point, 16);
  if (error != std::errc() || end != text.data() + size ||
      !utf8proc_codepoint_valid(static_cast<int32_t>(point)))
    return false;
  append_point(value, static_cast<int32_t>(point));
  return true;
}

size_t append_octal(std::string_view text, std::string& value) {
  size_t size = 0;
  int32_t point = 0;
  while (size < 3 && size < text.size() && text[size] >= '0' && text[size] < '8')
    point = point * 8 + (text[size++] - '0');
  append_point(value, point);
  return size;
}

bool is_name_point(int32_t point, bool first) {
  if (point < 0) return false;
  if (point < 0x80)
    return point == '_' || std::isalpha(point) != 0 || (!first && std::isdigit(point) != 0);
  switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_NL:
      return true;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_PC:
      return !first;
    default:
      return false;
  }
}

}  // namespace

NumberLiteral scan_number(std::string_view text, bool float_allowed) {
  if (text.empty() || !is_digit_of(text[0], 10)) return {};
  std::string digits;
  if (const int base = base_of(text); base != 10) {
    const size_t skip = text[2] == '_' ? 3 : 2;
    const size_t bytes = scan_digits(text.substr(skip), base, digits);
    if (bytes > 0) return integer_of(digits, base, skip + bytes);
  }
  digits.clear();
  const size_t whole = scan_digits(text, 10, digits);
  const size_t fraction = float_allowed ? scan_fraction(text.substr(whole), digits) : 0;
  if (fraction > 0)
    return {
        .bytes = whole + fraction, .is_float = true, .real = std::strtod(digits.c_str(), nullptr)};
  if (text[0] != '0') return integer_of(digits, 10, whole);
  // 0777 is no number: only zeros may follow a leading zero.
  return {.bytes = std::min(text.find_first_not_of("0_"), text.size())};
}

size_t scan_name(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const std::string_view rest = text.substr(bytes);
    if (!is_name_point(first_point(rest), bytes == 0)) break;
    bytes += point_bytes(rest);
  }
  return bytes;
}

bool unescape(std::string_view text, std::string& value) {
  static constexpr std::string_view kLetters = "\\'\"abfnrtv";
  static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      value += text[i];
      continue;
    }
    const char letter = text[++i];
    const std::string_view rest = text.substr(i + 1);
    if (const size_t known = kLetters.find(letter); known != std::string_view::npos) {
      value += kMeanings[known];
    } else if (letter == 'x' || letter == 'u' || letter == 'U') {
      const size_t size = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
      if (!append_hex(rest, size, value)) return false;
      i += size;
    } else if (letter >= '0' && letter < '8') {
      i += append_octal(text.substr(i), value) - 1;
    } else if (letter != '\n') {  // a backslash before a line end joins the lines
      value += '\\';
      value += letter;
    }
  }
  return true;
}

}  // namespace peft::jinja
