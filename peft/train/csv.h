#pragma once

#include <filesystem>

#include "peft/train/jsonl.h"

namespace peft::train {

/// Reads a CSV file as RFC 4180 has it: fields between commas, quoted ones with any text in them,
/// the first row naming the columns. Each row comes as an object of strings; empty lines are
/// skipped. Throws: NotFoundError, IoError; FormatError "<file>: row N: ..." for another number of
/// fields than columns, a quote out of place, a column named twice or not at all.
void for_each_csv_row(const std::filesystem::path& file, const JsonRowHandler& handle);

/// The rows of a file whose name ends in .csv, or of a JSONL file.
void for_each_row(const std::filesystem::path& file, const JsonRowHandler& handle);

}  // namespace peft::train
