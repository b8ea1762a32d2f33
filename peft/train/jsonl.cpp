#include "peft/train/jsonl.h"

#include <fmt/core.h>

#include <fstream>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft::train {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

void check_is_data_file(const std::filesystem::path& file, std::string_view format) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) {
    throw NotFoundError(fmt::format("{}: no such file: expected a {} file. Check the path.",
                                    file.string(), format));
  }
  if (std::filesystem::is_directory(status)) {
    throw IoError(fmt::format("{}: is a folder: expected a {} file. Name a file inside it.",
                              file.string(), format));
  }
}

void for_each_json_row(const std::filesystem::path& file, const JsonRowHandler& handle) {
  check_is_data_file(file, "JSONL");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw IoError(fmt::format("{}: cannot be opened. Check its permissions.", file.string()));
  }
  std::string line;
  for (size_t number = 1; std::getline(stream, line); ++number) {
    std::string_view text = line;
    if (number == 1 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    text = trim(text);
    if (text.empty()) continue;
    const std::string where = fmt::format("{}:{}", file.string(), number);
    Json row = parse_json(text, where);
    if (!row.is_object()) {
      throw FormatError(
          fmt::format("{}: the line is no row: expected a JSON object, got {}. "
                      "Write one object a line.",
                      where, row.type_name()));
    }
    handle(std::move(row), where);
  }
  if (stream.bad()) throw IoError(fmt::format("{}: reading failed.", file.string()));
}

}  // namespace peft::train
