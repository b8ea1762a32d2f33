#include "peft/train/csv.h"

#include <csv.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <exception>
#include <fstream>
#include <new>
#include <vector>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::train {

namespace {

constexpr std::string_view kCsvByteOrderMark = "\xEF\xBB\xBF";

// Collects the fields of a row, and hands each row over as an object.
class CsvReader {
 public:
  CsvReader(std::string file, const JsonRowHandler& handle)
      : file_(std::move(file)), handle_(handle) {
    if (csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI) != 0) throw std::bad_alloc();
  }
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;
  ~CsvReader() { csv_free(&parser_); }

  void parse(std::string_view bytes) {
    check(csv_parse(&parser_, bytes.data(), bytes.size(), &on_field, &on_row, this) ==
          bytes.size());
  }
  void finish() {
    check(csv_fini(&parser_, &on_field, &on_row, this) == 0);
    if (columns_.empty()) {
      throw FormatError(file_ + ": no row: expected a first row with the names of the columns.");
    }
  }

 private:
  // The parser is C: an error of a row is kept until its call has come back.
  static void on_field(void* bytes, size_t size, void* self) {
    static_cast<CsvReader*>(self)->fields_.emplace_back(static_cast<const char*>(bytes), size);
  }
  static void on_row(int, void* self) { static_cast<CsvReader*>(self)->end_row(); }

  void end_row() {
    std::vector<std::string> fields;
    fields.swap(fields_);
    ++row_;
    if (error_) return;
    try {
      if (columns_.empty()) {
        name_columns(std::move(fields));
      } else {
        hand_over(fields);
      }
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  void name_columns(std::vector<std::string> names) {
    if (names.front().starts_with(kCsvByteOrderMark)) {
      names.front().erase(0, kCsvByteOrderMark.size());
    }
    for (size_t i = 0; i < names.size(); ++i) {
      const bool again = std::find(names.begin(), names.begin() + static_cast<ptrdiff_t>(i),
                                   names[i]) != names.begin() + static_cast<ptrdiff_t>(i);
      if (!names[i].empty() && !again) continue;
      throw FormatError(fmt::format("{}: column {}: expected a name of its own, got '{}'.", file_,
                                    i + 1, names[i]));
    }
    columns_ = std::move(names);
  }

  void hand_over(const std::vector<std::string>& fields) {
    const std::string where = fmt::format("{}: row {}", file_, row_);
    if (fields.size() != columns_.size()) {
      throw FormatError(fmt::format(
          "{}: expected {} fields, one for each column, got {}. Put text with commas in quotes.",
          where, columns_.size(), fields.size()));
    }
    Json row = Json::object();
    for (size_t i = 0; i < fields.size(); ++i) row[columns_[i]] = fields[i];
    handle_(std::move(row), where);
  }

  void check(bool parsed) {
    if (error_) std::rethrow_exception(error_);
    if (parsed) return;
    throw FormatError(fmt::format(
        "{}: row {}: a quote is out of place: expected quotes around whole fields and doubled "
        "within them ({}).",
        file_, row_ + 1, csv_strerror(csv_error(&parser_))));
  }

  std::string file_;
  const JsonRowHandler& handle_;
  csv_parser parser_ = {};
  std::vector<std::string> columns_, fields_;
  size_t row_ = 0;
  std::exception_ptr error_;
};

}  // namespace

void for_each_csv_row(const std::filesystem::path& file, const JsonRowHandler& handle) {
  check_is_data_file(file, "CSV");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw IoError(fmt::format("{}: cannot be opened. Check its permissions.", file.string()));
  }
  CsvReader reader(file.string(), handle);
  std::array<char, 1 << 16> bytes;
  while (stream.read(bytes.data(), bytes.size()) || stream.gcount() > 0) {
    reader.parse({bytes.data(), static_cast<size_t>(stream.gcount())});
  }
  if (stream.bad()) throw IoError(fmt::format("{}: reading failed.", file.string()));
  reader.finish();
}

void for_each_row(const std::filesystem::path& file, const JsonRowHandler& handle) {
  if (file.extension() == ".csv") {
    for_each_csv_row(file, handle);
  } else {
    for_each_json_row(file, handle);
  }
}

}  // namespace peft::train
