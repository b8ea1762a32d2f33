#include "peft/train/task_row.h"

#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/train/csv.h"
#include "peft/train/data_row.h"

namespace peft::train {

namespace {

// A row with the place that it stands at.
class Row {
 public:
  Row(const Json& object, const std::string& where) : object_(object), where_(where) {}

  const Json* find(const std::string& column) const {
    const auto found = object_.find(column);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  std::string text(const std::string& column) const {
    const Json* value = find(column);
    if (value == nullptr) refuse_absent(column, "text");
    if (!value->is_string()) refuse(column, "text", value->type_name());
    return value->get<std::string>();
  }

  // A list, or a text that is parted at its spaces.
  std::vector<std::string> words(const std::string& column) const {
    const Json* value = find(column);
    if (value == nullptr) refuse_absent(column, "a list of words");
    if (value->is_string()) return split_words(value->get<std::string>());
    std::vector<std::string> words;
    if (!value->is_array()) refuse(column, "a list of words", value->type_name());
    for (const Json& word : *value) {
      if (!word.is_string()) refuse(column, "a list of words", word.type_name());
      words.push_back(word.get<std::string>());
    }
    return words;
  }

  Json label(const std::string& column, bool wanted) const {
    const Json* value = find(column);
    if (value == nullptr && wanted) refuse_absent(column, "a label");
    return value == nullptr ? Json() : *value;
  }

  [[noreturn]] void refuse(const std::string& column, const std::string& expected,
                           const std::string& got) const {
    throw FormatError(
        fmt::format("{}: column '{}': expected {}, got {}.", where_, column, expected, got));
  }

  // Often the column is there under another name.
  [[noreturn]] void refuse_absent(const std::string& column, const std::string& expected) const {
    std::vector<std::string> names;
    for (const auto& [name, value] : object_.items()) {
      if (!value.is_null()) names.push_back(name);
    }
    throw FormatError(fmt::format(
        "{}: column '{}': expected {}, got no such column beside {}. Rename a column, or say which "
        "one it is.",
        where_, column, expected, names.empty() ? "none" : join_names(names)));
  }

 private:
  static std::vector<std::string> split_words(const std::string& text) {
    std::vector<std::string> words;
    for (const std::string& word : split(text, ' ')) {
      if (!word.empty()) words.push_back(word);
    }
    return words;
  }

  const Json& object_;
  const std::string& where_;
};

Json tags_of(const Row& row, const TaskColumns& columns, size_t words, bool labelled) {
  const Json* given = row.find(columns.tags);
  if (given == nullptr) return row.label(columns.tags, labelled);
  Json tags = *given;
  if (tags.is_string()) tags = row.words(columns.tags);
  if (!tags.is_array()) row.refuse(columns.tags, "a list of labels", tags.type_name());
  if (tags.size() != words) {
    row.refuse(columns.tags, fmt::format("a label for each of {} words", words),
               std::to_string(tags.size()));
  }
  return tags;
}

// SQuAD's object of lists, or a column of text with its place beside it.
void read_answer(const Row& row, const TaskColumns& columns, bool labelled, TaskRow& result) {
  constexpr const char* kStart = "answer_start";
  const Json* answers = row.find(columns.answers);
  if (answers == nullptr) {
    if (labelled) row.refuse_absent(columns.answers, "text and answer_start");
    return;
  }
  Json text, start;
  if (answers->is_object()) {
    text = answers->value("text", Json());
    start = answers->value(kStart, Json());
    if (text.is_array()) text = text.empty() ? Json("") : text.front();
    if (start.is_array()) start = start.empty() ? Json(0) : start.front();
  } else {
    text = *answers;
    if (const Json* found = row.find(kStart)) start = *found;
  }
  if (!text.is_string()) row.refuse(columns.answers, "the answer's text", text.type_name());
  result.answer = text.get<std::string>();
  if (result.answer.empty()) return;
  if (start.is_string()) start = whole_number<int64_t>(start.get<std::string>()).value_or(-1);
  if (!start.is_number_integer() || start.get<int64_t>() < 0) {
    row.refuse(kStart, "the answer's place in the context, in characters", start.type_name());
  }
  result.answer_start = start.get<int64_t>();
}

}  // namespace

TaskRow parse_task_row(const Json& object, const std::string& where, RowTask task,
                       const TaskColumns& columns, bool labelled) {
  const Row row(object, where);
  TaskRow result{.task_id = task_id_in(object, where), .where = where};
  switch (task) {
    case RowTask::kSequenceClassification:
      result.text = row.text(columns.text);
      if (row.find(columns.text_pair)) result.text_pair = row.text(columns.text_pair);
      result.label = row.label(columns.label, labelled);
      break;
    case RowTask::kTokenClassification:
      result.words = row.words(columns.tokens);
      result.label = tags_of(row, columns, result.words.size(), labelled);
      break;
    case RowTask::kQuestionAnswering:
      result.text = row.text(columns.question);
      result.text_pair = row.text(columns.context);
      read_answer(row, columns, labelled, result);
      break;
    case RowTask::kSeq2SeqLM:
      result.text = row.text(columns.text);
      if (labelled || row.find(columns.target)) result.target = row.text(columns.target);
      break;
  }
  return result;
}

std::vector<TaskRow> read_task_rows(const std::filesystem::path& file, RowTask task,
                                    const TaskColumns& columns, bool labelled) {
  std::vector<TaskRow> rows;
  for_each_row(file, [&](const Json& object, const std::string& where) {
    rows.push_back(parse_task_row(object, where, task, columns, labelled));
  });
  if (rows.empty()) {
    throw FormatError(fmt::format("{}: no row: expected at least one.", file.string()));
  }
  return rows;
}

}  // namespace peft::train
