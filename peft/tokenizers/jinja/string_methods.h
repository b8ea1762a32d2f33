#pragma once

#include <string>
#include <string_view>

#include "peft/tokenizers/jinja/runtime.h"

namespace peft::jinja {

/// A method of Python's str; nullptr where it has none of that name.
Function find_string_method(std::string_view name);

/// Python's str.format.  Throws: ConfigError for a malformed or unserved field.
std::string brace_format(Call& call);

/// Python's str.replace; `count` below zero: all.
std::string replaced(Engine& engine, const std::string& text, const std::string& old,
                     const std::string& by, int64_t count);

/// Python's str.split without separator: pieces between blanks; `limit` below zero: all.
Values split_blanks(std::string_view text, int64_t limit);

/// Python's str.splitlines(keepends=False).
Values split_lines(std::string_view text);

}  // namespace peft::jinja
