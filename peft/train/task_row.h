#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "peft/base/json.h"

namespace peft::train {

/// What rows are made for, other than the continuation of a text.
enum class RowTask {
  kSequenceClassification,
  kTokenClassification,
  kQuestionAnswering,
  kSeq2SeqLM
};

/// The names of the columns.
struct TaskColumns {
  std::string text = "text";            // also the source of a target text
  std::string text_pair = "text_pair";  // a second text; rows may lack it
  std::string label = "label";          // a class, a number, or a list of either
  std::string tokens = "tokens";        // words
  std::string tags = "tags";            // a class for each word
  std::string question = "question", context = "context";
  std::string answers = "answers";  // {"text": [...], "answer_start": [...]} as in SQuAD
  std::string target = "target";
};

/// One row of a data set for a task.
struct TaskRow {
  std::string text = {};                      // the question for kQuestionAnswering
  std::optional<std::string> text_pair = {};  // the context for kQuestionAnswering
  std::vector<std::string> words = {};        // kTokenClassification
  Json label = nullptr;                       // null: unknown. kTokenClassification: a list
  std::string answer = {};                    // kQuestionAnswering; empty: the context has none
  int64_t answer_start = 0;                   // in characters of the context
  std::string target = {};                    // kSeq2SeqLM
  std::optional<int64_t> task_id = {};        // for adapters that tell tasks apart
  std::string where = {};                     // "<file>:<line>", for messages
};

/// Finds the columns of one row. Words and tags may be lists, or texts with spaces between them, as
/// a CSV file has them; its answers are a column of the text and `answer_start`.
/// `labelled`: what is to be learnt has to be there.
/// Throws: FormatError that begins with `where`.
TaskRow parse_task_row(const Json& object, const std::string& where, RowTask task,
                       const TaskColumns& columns, bool labelled);

/// Reads all rows of a JSONL or CSV file.
/// Throws: NotFoundError, IoError; FormatError naming file and line, or where there is no row.
std::vector<TaskRow> read_task_rows(const std::filesystem::path& file, RowTask task,
                                    const TaskColumns& columns, bool labelled);

}  // namespace peft::train
