#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace peft::jinja {

/// A number at the front of a text; bytes is 0 where there is none.
struct NumberLiteral {
  size_t bytes = 0;
  bool is_float = false, too_large = false;
  int64_t integer = 0;
  double real = 0;
};

/// Integers in decimal, 0x, 0o and 0b, and floats, with single underscores between digits.
NumberLiteral scan_number(std::string_view text, bool float_allowed);

/// Bytes of the identifier at the front; 0 where there is none.
size_t scan_name(std::string_view text);

/// Resolves Python's string escapes into `value`; false where one is malformed. Unknown escapes
/// stay as they are, as in Python.
bool unescape(std::string_view text, std::string& value);

}  // namespace peft::jinja
