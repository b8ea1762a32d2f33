#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "peft/base/json.h"

namespace peft::train {

/// Called for each row of a JSONL file with the object and "<file>:<line>" for messages.
using JsonRowHandler = std::function<void(Json row, const std::string& where)>;

/// Throws: NotFoundError, IoError where there is no file of that name. `format`: for messages.
void check_is_data_file(const std::filesystem::path& file, std::string_view format);

/// Reads a JSONL file: one JSON object a line, UTF-8, LF or CRLF, empty lines skipped. The file is
/// read line by line. Throws: NotFoundError, IoError; FormatError "<file>:<line>: ..." for a line
/// that is no JSON object.
void for_each_json_row(const std::filesystem::path& file, const JsonRowHandler& handle);

}  // namespace peft::train
