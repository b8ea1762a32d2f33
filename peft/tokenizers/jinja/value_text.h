#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "peft/tokenizers/jinja/value.h"

namespace peft::jinja {

/// Python's str(); undefined gives nothing.
std::string to_text(const Value& value);

/// Python's repr(): strings quoted and escaped.
std::string to_repr(const Value& value);
std::string python_quoted(std::string_view text);

/// How to_json writes; as the keyword arguments of Python's json.dumps.
struct JsonLook {
  bool ensure_ascii = false;
  std::optional<std::string> indent = {};  // what one level is indented by
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

/// Python's json.dumps.  Throws: ConfigError where the value has no JSON form.
std::string to_json(const Value& value, const JsonLook& look = {});

/// Number of code points; a byte that is not UTF-8 counts as one.
size_t count_points(std::string_view text);

/// Bytes of the code point that the text starts with, at least 1; 0 for the empty text.
size_t point_bytes(std::string_view text);

/// The byte at which code point number `index` starts, or the size of the text.
size_t byte_of_point(std::string_view text, size_t index);

/// The code point at the front; -1 where the bytes are not UTF-8.
int32_t first_point(std::string_view text);
void append_point(std::string& text, int32_t point);

/// Python's str.isspace for one code point.
bool is_space(int32_t point);

/// Python's str.strip family. Without `chars` blanks go, otherwise every code point in it.
struct StripSides {
  bool left = true, right = true;
};
std::string_view stripped(std::string_view text, StripSides sides = {},
                          const std::string* chars = nullptr);

}  // namespace peft::jinja
