#include "peft/train/task_row.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft::train {
namespace {

TaskRow parse(RowTask task, const Json& row, bool labelled = true) {
  return parse_task_row(row, "f.jsonl:3", task, {}, labelled);
}

std::string refusal(RowTask task, const Json& row) {
  try {
    parse(task, row);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

TEST(TaskRow, SequencesHaveATextPerhapsAnotherAndALabel) {
  const TaskRow row =
      parse(RowTask::kSequenceClassification, {{"text", "a"}, {"text_pair", "b"}, {"label", 2}});
  EXPECT_EQ(row.text, "a");
  EXPECT_EQ(row.text_pair, "b");
  EXPECT_EQ(row.label, 2);
  EXPECT_FALSE(parse(RowTask::kSequenceClassification, {{"text", "a"}, {"label", 1}}).text_pair);
  EXPECT_TRUE(parse(RowTask::kSequenceClassification, {{"text", "a"}}, false).label.is_null());
}

TEST(TaskRow, WordsAndTagsAreListsOrTexts) {
  const Json list = {{"tokens", {"Ann", "runs"}}, {"tags", {"PER", "O"}}};
  const Json text = {{"tokens", "Ann  runs"}, {"tags", "PER O"}};
  for (const Json& given : {list, text}) {
    const TaskRow row = parse(RowTask::kTokenClassification, given);
    EXPECT_EQ(row.words, (std::vector<std::string>{"Ann", "runs"}));
    EXPECT_EQ(row.label, (Json{"PER", "O"}));
  }
}

TEST(TaskRow, AnswersAreSquadsOrTwoColumns) {
  const Json squad = {{"question", "q"},
                      {"context", "some text"},
                      {"answers", {{"text", {"text"}}, {"answer_start", {5}}}}};
  const Json columns = {
      {"question", "q"}, {"context", "some text"}, {"answers", "text"}, {"answer_start", "5"}};
  for (const Json& given : {squad, columns}) {
    const TaskRow row = parse(RowTask::kQuestionAnswering, given);
    EXPECT_EQ(row.answer, "text");
    EXPECT_EQ(row.answer_start, 5);
  }
  Json none = squad;
  none["answers"] = {{"text", Json::array()}, {"answer_start", Json::array()}};
  EXPECT_EQ(parse(RowTask::kQuestionAnswering, none).answer, "");
}

TEST(TaskRow, WhatIsMissingOrWrongIsSaidWithItsPlace) {
  EXPECT_NE(refusal(RowTask::kSequenceClassification, {{"label", 1}})
                .find("f.jsonl:3: column 'text': expected text, got no such column"),
            std::string::npos);
  EXPECT_NE(refusal(RowTask::kSequenceClassification, {{"text", "a"}}).find("column 'label'"),
            std::string::npos);
  EXPECT_NE(refusal(RowTask::kTokenClassification, {{"tokens", {"a"}}, {"tags", {"O", "O"}}})
                .find("a label for each of 1 words, got 2"),
            std::string::npos);
  EXPECT_NE(refusal(RowTask::kQuestionAnswering,
                    {{"question", "q"}, {"context", "c"}, {"answers", "c"}, {"answer_start", "x"}})
                .find("answer_start"),
            std::string::npos);
  EXPECT_NE(refusal(RowTask::kSeq2SeqLM, {{"text", "a"}}).find("column 'target'"),
            std::string::npos);
}

TEST(TaskRow, RowsOfEveryTaskMayNameTheirTask) {
  const Json row = {{"text", "a"},   {"label", 1},      {"tokens", "a"},
                    {"tags", "O"},   {"question", "q"}, {"context", "c"},
                    {"answers", ""}, {"target", "t"},   {"task_id", 2}};
  for (const RowTask task : {RowTask::kSequenceClassification, RowTask::kTokenClassification,
                             RowTask::kQuestionAnswering, RowTask::kSeq2SeqLM}) {
    EXPECT_EQ(parse(task, row).task_id, 2);
  }
  const auto with_task = [](const Json& task) {
    return Json{{"text", "a"}, {"label", 1}, {"task_id", task}};
  };
  const RowTask task = RowTask::kSequenceClassification;
  EXPECT_EQ(parse(task, with_task("3")).task_id, 3);  // as CSV files have it
  EXPECT_EQ(parse(task, with_task("")).task_id, std::nullopt);
  EXPECT_EQ(parse(task, with_task(nullptr)).task_id, std::nullopt);
  for (const Json& wrong : {Json("first"), Json(0.5), Json::array({1})}) {
    EXPECT_NE(refusal(task, with_task(wrong)).find("f.jsonl:3: field 'task_id'"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace peft::train
