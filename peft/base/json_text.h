#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "peft/base/json.h"

namespace peft {

/// What parse_json accepts. The text may come from anywhere.
struct JsonLimits {
  size_t max_bytes = size_t{1} << 30;
  size_t max_depth = 128;              // arrays and objects inside each other
  bool reject_duplicate_keys = false;  // false: the last one wins, as in Python
};

/// Parses JSON text. Objects keep the order of their keys; large ones are built in linear time.
/// Throws: FormatError "<where>: line 3, column 7: ...".
Json parse_json(std::string_view text, std::string_view where, const JsonLimits& limits = {});

/// Reads and parses a file.  Throws: NotFoundError, IoError, FormatError.
Json read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

/// How dump_json writes. The defaults are those of Python's `json.dumps(value, indent=2)`.
struct JsonStyle {
  std::optional<int> indent = 2;  // nullopt: one line, ", " and ": " between the parts
  bool sort_keys = false;
  bool ensure_ascii = true;  // everything else as \uXXXX
  bool final_newline = false;
};

/// Writes JSON byte for byte as Python's json.dumps does, floats included (8.0, 1e-05, NaN).
/// Throws: FormatError where a string is not UTF-8.
std::string dump_json(const Json& value, const JsonStyle& style = {});

/// The shortest text that Python's float() reads back as this number, as repr() prints it.
std::string python_float(double number);

}  // namespace peft
