#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "peft/base/json.h"

namespace peft::train {

/// One row of a data set, in one of the shapes that TRL's SFTTrainer takes.
struct DataRow {
  enum class Kind { kText, kPromptCompletion, kMessages, kTokens };

  Kind kind = Kind::kText;
  std::string text = {};                // kText
  Json prompt = {}, completion = {};    // kPromptCompletion: two strings or two message lists
  Json messages = {};                   // kMessages: list of {"role", "content", ...}
  Json tools = {};                      // of message lists; null: none
  std::vector<int64_t> input_ids = {};  // kTokens
  std::optional<std::vector<int64_t>> labels = {};  // kTokens; as long as input_ids
  std::optional<std::string> adapter_name = {};     // that the row is for, where there are several
  std::optional<int64_t> task_id = {};  // of the row, for adapters that tell tasks apart
  std::string where = {};               // "<file>:<line>", for messages
};

/// The task that a row names as `task_id`; nullopt: none.
/// Throws: FormatError that begins with `where`, for what is no whole number.
std::optional<int64_t> task_id_in(const Json& object, const std::string& where);

struct DataRowOptions {
  std::string text_field = "text";  // the key of plain text rows
};

/// Finds the shape of a row by its keys: input_ids, then prompt and completion, then messages, then
/// text. Other keys are ignored.
/// Throws: FormatError that begins with `where`.
DataRow parse_row(const Json& object, const std::string& where, const DataRowOptions& options = {});

/// Reads all rows of a JSONL or CSV file; of a CSV file the values are texts.
/// Throws: NotFoundError, IoError; FormatError naming file and line; FormatError where there is no
/// row.
std::vector<DataRow> read_rows(const std::filesystem::path& file,
                               const DataRowOptions& options = {});

/// The files of a data set.
struct DataFiles {
  std::filesystem::path train = {};
  std::optional<std::filesystem::path> valid = {};
};

/// A file is the training set itself; a folder holds `train.jsonl` (or `train.csv`) and perhaps
/// `valid.jsonl`.
/// Throws: NotFoundError.
DataFiles find_data(const std::filesystem::path& path);

}  // namespace peft::train
