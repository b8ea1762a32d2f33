#pragma once

#include <string>

#include "peft/models/common/pretrained_model.h"
#include "peft/train/task_row.h"

namespace peft::cli {

/// What `--task_type` says: how rows are read, and which head the model has.
struct TaskKind {
  std::string task_type = {};  // as adapter_config.json names it
  train::RowTask rows = train::RowTask::kSequenceClassification;
  ModelTask model = ModelTask::kSequenceClassification;
};

/// Throws: UsageError (no such word, with those that there are).
TaskKind task_kind(const std::string& task_type);

/// The names of a data set's columns, as flags.
struct ColumnOptions {
  train::TaskColumns columns = {};

  static void fields(auto& self, auto&& field) {
    auto& columns = self.columns;
    field("text_column", columns.text, "Column of the text, or of the source of a target text.");
    field("text_pair_column", columns.text_pair, "Column of a second text, where rows have one.");
    field("label_column", columns.label, "Column of the label.");
    field("tokens_column", columns.tokens, "Column of the words.");
    field("tags_column", columns.tags, "Column of the words' labels.");
    field("question_column", columns.question, "Column of the question.");
    field("context_column", columns.context, "Column of the text that holds the answer.");
    field("answers_column", columns.answers, "Column of the answer, as in SQuAD.");
    field("target_column", columns.target, "Column of the target text.");
  }
};

}  // namespace peft::cli
