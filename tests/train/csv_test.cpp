#include "peft/train/csv.h"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "peft/base/error.h"

namespace peft::train {
namespace {

struct CsvFile {
  explicit CsvFile(const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  ~CsvFile() { std::filesystem::remove(path); }
  std::filesystem::path path = std::filesystem::temp_directory_path() / "peft_csv_test.csv";
};

std::vector<Json> rows_of(const std::string& bytes) {
  const CsvFile file(bytes);
  std::vector<Json> rows;
  for_each_row(file.path, [&](Json row, const std::string&) { rows.push_back(std::move(row)); });
  return rows;
}

std::string message_of(const std::string& bytes) {
  try {
    rows_of(bytes);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

TEST(Csv, RowsAreObjectsByTheNamesOfTheFirst) {
  const auto rows = rows_of("text,label\nhello,a\nbye,b\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0], (Json{{"text", "hello"}, {"label", "a"}}));
  EXPECT_EQ(rows[1], (Json{{"text", "bye"}, {"label", "b"}}));
}

TEST(Csv, QuotedFieldsHoldCommasQuotesAndLineEnds) {
  const auto rows = rows_of("\xEF\xBB\xBFtext,label\r\n\"a, \"\"b\"\"\r\nc\",1\r\n\r\n\"\",2");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["text"], "a, \"b\"\r\nc");
  EXPECT_EQ(rows[1], (Json{{"text", ""}, {"label", "2"}}));
}

TEST(Csv, MistakesNameTheRow) {
  EXPECT_NE(message_of("a,b\n1,2\n3\n").find("row 3: expected 2 fields"), std::string::npos);
  EXPECT_NE(message_of("a,b\n1,x\"y\"\n").find("row 2: a quote is out of place"),
            std::string::npos);
  EXPECT_NE(message_of("a,b\n\"1,2\n").find("a quote is out of place"), std::string::npos);
  EXPECT_NE(message_of("a,a\n1,2\n").find("column 2"), std::string::npos);
  EXPECT_NE(message_of("a,\n1,2\n").find("column 2"), std::string::npos);
  EXPECT_NE(message_of("").find("no row"), std::string::npos);
}

TEST(Csv, WhatTheHandlerThrowsComesBackWhole) {
  const CsvFile file("a\n1\n2\n");
  const auto refuse = [](Json, const std::string& where) { throw ConfigError(where); };
  EXPECT_THROW(for_each_csv_row(file.path, refuse), ConfigError);
  EXPECT_THROW(for_each_csv_row("/no/such/file.csv", refuse), NotFoundError);
  EXPECT_THROW(for_each_csv_row("/", refuse), IoError);
}

}  // namespace
}  // namespace peft::train
