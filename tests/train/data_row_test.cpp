#include "peft/train/data_row.h"

#include <gtest/gtest.h>

#include <fstream>

#include "peft/base/error.h"
#include "tests/train/toy_task.h"

namespace peft::train {
namespace {

class DataRows : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path() / name, std::ios::binary) << text;
    return folder_.path() / name;
  }

  /// The message of the error that reading this text gives.
  std::string error_of(const std::string& text) {
    try {
      read_rows(write("bad.jsonl", text));
    } catch (const FormatError& error) {
      return error.what();
    }
    return "no error";
  }

  TemporaryFolder folder_;
};

TEST_F(DataRows, EveryShapeIsRecognisedByItsKeys) {
  const auto rows = read_rows(write("a.jsonl",
                                    "\xEF\xBB\xBF{\"text\": \"a\"}\r\n\n"
                                    "{\"prompt\": \"p\", \"completion\": \"c\", \"pattern\": 1}\n"
                                    "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n"
                                    "{\"input_ids\": [1, 2], \"labels\": [-100, 2]}\n"
                                    "{\"input_ids\": [3]}"));
  ASSERT_EQ(rows.size(), 5);
  EXPECT_EQ(rows[0].kind, DataRow::Kind::kText);
  EXPECT_EQ(rows[0].text, "a");
  EXPECT_EQ(rows[1].kind, DataRow::Kind::kPromptCompletion);
  EXPECT_EQ(rows[2].kind, DataRow::Kind::kMessages);
  EXPECT_EQ(rows[3].labels, (std::vector<int64_t>{-100, 2}));
  EXPECT_FALSE(rows[4].labels.has_value());
  EXPECT_TRUE(rows[3].where.ends_with("a.jsonl:5")) << rows[3].where;
}

TEST_F(DataRows, ToolsMayBeText) {
  const Json row = {{"messages", {{{"role", "user"}, {"content", "a"}}}},
                    {"tools", "[{\"name\": \"clock\"}]"}};
  EXPECT_EQ(parse_row(row, "f:1").tools[0]["name"], "clock");
}

TEST_F(DataRows, AnErrorNamesFileAndLine) {
  EXPECT_NE(error_of("{\"text\": \"a\"}\n{\"text\": ").find("bad.jsonl:2"), std::string::npos);
  EXPECT_NE(error_of("{\"text\": \"a\"}\n[1]").find("bad.jsonl:2"), std::string::npos);
  EXPECT_NE(error_of("\n\n{\"txt\": \"a\"}").find("bad.jsonl:3"), std::string::npos);
}

TEST_F(DataRows, WrongFieldsAreRefused) {
  EXPECT_NE(error_of("{\"text\": 3}").find("a string"), std::string::npos);
  EXPECT_NE(error_of("{\"prompt\": \"a\", \"completion\": []}").find("'completion'"),
            std::string::npos);
  EXPECT_NE(error_of("{\"messages\": []}").find("'messages'"), std::string::npos);
  EXPECT_NE(error_of("{\"messages\": [{\"content\": \"a\"}]}").find("role"), std::string::npos);
  EXPECT_NE(error_of("{\"input_ids\": [1.5]}").find("whole numbers"), std::string::npos);
  EXPECT_NE(error_of("{\"input_ids\": [-100]}").find("-100"), std::string::npos);
  EXPECT_NE(error_of("{\"input_ids\": [1, 2], \"labels\": [1]}").find("'labels'"),
            std::string::npos);
  EXPECT_NE(error_of("").find("no rows"), std::string::npos);
}

TEST_F(DataRows, AFolderHoldsTrainAndPerhapsValid) {
  EXPECT_THROW(find_data(folder_.path()), NotFoundError);
  EXPECT_THROW(find_data(folder_.path() / "missing"), NotFoundError);
  const auto train = write("train.jsonl", "{}");
  EXPECT_EQ(find_data(folder_.path()).train, train);
  EXPECT_FALSE(find_data(folder_.path()).valid.has_value());
  const auto valid = write("valid.jsonl", "{}");
  EXPECT_EQ(find_data(folder_.path()).valid, valid);
  EXPECT_EQ(find_data(valid).train, valid);
}

}  // namespace
}  // namespace peft::train
