#include "peft/tokenizers/jinja/text_case.h"

#include <utf8proc.h>

#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

constexpr int32_t kSharpS = 0xDF;

/// Applies one function to every code point; broken bytes stay as they are.
template <class Change>
std::string mapped(std::string_view text, Change change) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const int32_t point = first_point(text);
    const size_t bytes = point_bytes(text);
    if (point < 0) {
      result += text[0];
    } else {
      change(result, point);
    }
    text.remove_prefix(bytes);
  }
  return result;
}

void append_upper(std::string& out, int32_t point) {
  if (point == kSharpS) {
    out += "SS";
  } else {
    append_point(out, utf8proc_toupper(point));
  }
}

void append_title(std::string& out, int32_t point) {
  if (point == kSharpS) {
    out += "Ss";
  } else {
    append_point(out, utf8proc_totitle(point));
  }
}

bool has_case(int32_t point) {
  return is_of(CharClass::kUpper, point) || is_of(CharClass::kLower, point) ||
         utf8proc_category(point) == UTF8PROC_CATEGORY_LT;
}

}  // namespace

std::string upper(std::string_view text) { return mapped(text, append_upper); }

std::string lower(std::string_view text) {
  return mapped(text, [](std::string& out, int32_t c) { append_point(out, utf8proc_tolower(c)); });
}

std::string capitalized(std::string_view text) {
  const size_t first = point_bytes(text);
  return mapped(text.substr(0, first), append_title) + lower(text.substr(first));
}

std::string titled(std::string_view text) {
  bool inside = false;
  return mapped(text, [&](std::string& out, int32_t point) {
    if (inside) {
      append_point(out, utf8proc_tolower(point));
    } else {
      append_title(out, point);
    }
    inside = has_case(point);
  });
}

std::string case_swapped(std::string_view text) {
  return mapped(text, [](std::string& out, int32_t point) {
    if (is_of(CharClass::kUpper, point)) {
      append_point(out, utf8proc_tolower(point));
    } else {
      append_upper(out, point);
    }
  });
}

bool is_of(CharClass wanted, int32_t point) {
  if (point < 0) return false;
  const auto category = utf8proc_category(point);
  switch (wanted) {
    case CharClass::kAlpha:
      return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    case CharClass::kDecimal:
      return category == UTF8PROC_CATEGORY_ND;
    case CharClass::kDigit:
      // Superscripts are digits, although they are not decimal.
      return category == UTF8PROC_CATEGORY_ND || point == 0xB2 || point == 0xB3 || point == 0xB9 ||
             point == 0x2070 || (point >= 0x2074 && point <= 0x2079) ||
             (point >= 0x2080 && point <= 0x2089);
    case CharClass::kNumeric:
      return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
    case CharClass::kSpace:
      return is_space(point);
    case CharClass::kUpper:
      return category == UTF8PROC_CATEGORY_LU;
    case CharClass::kLower:
      return category == UTF8PROC_CATEGORY_LL;
    case CharClass::kAlnum:
      return is_of(CharClass::kAlpha, point) || is_of(CharClass::kNumeric, point);
  }
  return false;
}

bool all_of_class(std::string_view text, CharClass wanted) {
  if (text.empty()) return false;
  for (; !text.empty(); text.remove_prefix(point_bytes(text))) {
    if (!is_of(wanted, first_point(text))) return false;
  }
  return true;
}

bool has_only_case(std::string_view text, CharClass wanted) {
  bool found = false;
  for (; !text.empty(); text.remove_prefix(point_bytes(text))) {
    const int32_t point = first_point(text);
    if (is_of(wanted, point)) {
      found = true;
    } else if (point >= 0 && has_case(point)) {
      return false;
    }
  }
  return found;
}

}  // namespace peft::jinja
