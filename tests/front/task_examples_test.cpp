#include "peft/task_examples.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "tests/front/support.h"

namespace peft {
namespace {

using train::RowTask;
using train::TaskRow;

// BERT's tokens, every letter and its continuation among them.
std::shared_ptr<tokenizers::Tokenizer> letters() {
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (char letter = 'a'; letter <= 'z'; ++letter) vocabulary += std::string(1, letter) + "\n";
  for (char letter = 'a'; letter <= 'z'; ++letter)
    vocabulary += "##" + std::string(1, letter) + "\n";
  return tokenizers::Tokenizer::from_wordpiece_vocabulary(vocabulary, Json::object(), "letters");
}

TaskRow labelled(const std::string& text, const Json& label) {
  return {.text = text, .label = label, .where = "rows:1"};
}

TEST(TaskExamples, LabelsAreFoundAndNumbered) {
  const auto numbers = find_labels({labelled("a", 10), labelled("b", 9), labelled("c", 10)},
                                   RowTask::kSequenceClassification);
  EXPECT_EQ(numbers.names, (std::vector<std::string>{"9", "10"}));
  EXPECT_EQ(numbers.problem_type, "single_label_classification");
  const auto many = find_labels({labelled("a", {"x", "y"}), labelled("b", {"w"})},
                                RowTask::kSequenceClassification);
  EXPECT_EQ(many.names, (std::vector<std::string>{"w", "x", "y"}));
  EXPECT_EQ(many.problem_type, "multi_label_classification");
  const auto regression =
      find_labels({labelled("a", 1), labelled("b", 0.5)}, RowTask::kSequenceClassification);
  EXPECT_EQ(regression.problem_type, "regression");
  EXPECT_EQ(regression.names, std::vector<std::string>{"LABEL_0"});
  EXPECT_THROW(
      find_labels({labelled("a", "x"), labelled("b", {"x"})}, RowTask::kSequenceClassification),
      FormatError);
}

TEST(TaskExamples, LabelsGoThroughTheirFile) {
  const test::TemporaryFolder folder("labels");
  const LabelSet labels{.names = {"no", "yes"}, .problem_type = "single_label_classification"};
  labels.save(folder.path());
  const LabelSet read = LabelSet::load(folder.path());
  EXPECT_EQ(read.names, labels.names);
  EXPECT_EQ(read.problem_type, labels.problem_type);
  EXPECT_EQ(read.model_config()["num_labels"], 2);
  EXPECT_EQ(LabelSet::numbered(2).names, (std::vector<std::string>{"LABEL_0", "LABEL_1"}));
  EXPECT_THROW(LabelSet::load(folder.path() / "none"), NotFoundError);
}

TEST(TaskExamples, TextsHaveOneTarget) {
  const LabelSet labels{.names = {"no", "yes"}, .problem_type = "single_label_classification"};
  TaskRow row = labelled("ab c", "yes");
  row.text_pair = "d";
  const auto encoding = encode_task_row(row, RowTask::kSequenceClassification, labels, *letters(),
                                        {.with_type_ids = true});
  EXPECT_EQ(encoding.example.input_ids, (std::vector<int64_t>{2, 5, 32, 7, 3, 8, 3}));
  EXPECT_EQ(encoding.example.token_type_ids, (std::vector<int64_t>{0, 0, 0, 0, 0, 1, 1}));
  EXPECT_EQ(encoding.example.row_target, std::vector<double>{1.0});
  EXPECT_EQ(encoding.example.counted(), 1);
  EXPECT_THROW(
      encode_task_row(labelled("a", "maybe"), RowTask::kSequenceClassification, labels, *letters()),
      ConfigError);
}

TEST(TaskExamples, OnlyTheTokenThatAWordBeginsWithHasItsLabel) {
  const LabelSet labels{.names = {"O", "PER"}};
  TaskRow row{.words = {"ab", "c"}, .label = {"PER", "O"}, .where = "rows:1"};
  const auto encoding = encode_task_row(row, RowTask::kTokenClassification, labels, *letters());
  EXPECT_EQ(encoding.example.labels, (std::vector<int64_t>{-100, 1, -100, 0, -100}));
  EXPECT_EQ(encoding.example.counted(), 2);
  EXPECT_EQ(encoding.first_tokens[1], 3);
  const auto cut =
      encode_task_row(row, RowTask::kTokenClassification, labels, *letters(), {.max_length = 4});
  EXPECT_FALSE(cut.first_tokens[1].has_value());
}

TEST(TaskExamples, AnswersAreFoundByTheirCharacters) {
  TaskRow row{.text = "q",
              .text_pair = "\xC3\xA9 ab cd",
              .answer = "cd",
              .answer_start = 5,
              .where = "rows:1"};
  const auto encoding = encode_task_row(row, RowTask::kQuestionAnswering, {}, *letters());
  // [CLS] q [SEP] e a ##b c ##d [SEP]
  EXPECT_EQ(encoding.example.row_target, (std::vector<double>{6.0, 7.0}));
  EXPECT_EQ(encoding.spans[6], std::make_pair(size_t{6}, size_t{7}));
  EXPECT_FALSE(encoding.spans[1].has_value());
  const auto cut =
      encode_task_row(row, RowTask::kQuestionAnswering, {}, *letters(), {.max_length = 8});
  EXPECT_EQ(cut.example.row_target, (std::vector<double>{0.0, 0.0}));
  row.answer_start = 4;
  EXPECT_THROW(encode_task_row(row, RowTask::kQuestionAnswering, {}, *letters()), ConfigError);
  row.answer_start = 40;
  EXPECT_THROW(encode_task_row(row, RowTask::kQuestionAnswering, {}, *letters()), ConfigError);
}

}  // namespace
}  // namespace peft
