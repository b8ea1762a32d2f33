#include "peft/train/data_row.h"

#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/train/csv.h"

namespace peft::train {

namespace {

constexpr int64_t kIgnored = -100;

[[noreturn]] void throw_bad_field(const std::string& where, std::string_view key,
                                  std::string_view expected, const Json& got) {
  throw FormatError(fmt::format("{}: field {} is wrong: expected {}, got {}. Mend this line.",
                                where, quote(key), expected, got.type_name()));
}

void check_messages(const Json& messages, std::string_view key, const std::string& where) {
  if (!messages.is_array() || messages.empty()) {
    throw_bad_field(where, key, "a list of messages", messages);
  }
  for (const Json& message : messages) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      throw_bad_field(where, key, "messages with a \"role\" and a \"content\"", message);
    }
  }
}

std::vector<int64_t> integers(const Json& list, std::string_view key, const std::string& where,
                              int64_t least) {
  if (!list.is_array()) throw_bad_field(where, key, "a list of whole numbers", list);
  std::vector<int64_t> result;
  result.reserve(list.size());
  for (const Json& item : list) {
    if (!item.is_number_integer()) throw_bad_field(where, key, "a list of whole numbers", item);
    const int64_t value = item.get<int64_t>();
    if (value < least && value != kIgnored) {
      throw FormatError(
          fmt::format("{}: field {} is wrong: expected token ids, got {}. Mend this line.", where,
                      quote(key), value));
    }
    result.push_back(value);
  }
  return result;
}

void read_tokens(const Json& object, DataRow& row) {
  row.kind = DataRow::Kind::kTokens;
  row.input_ids = integers(object["input_ids"], "input_ids", row.where, 0);
  for (const int64_t id : row.input_ids) {
    if (id == kIgnored) {
      throw FormatError(
          fmt::format("{}: field 'input_ids' is wrong: expected token ids, got -100. Only labels "
                      "may hold -100.",
                      row.where));
    }
  }
  if (!object.contains("labels")) return;
  row.labels = integers(object["labels"], "labels", row.where, 0);
  if (row.labels->size() != row.input_ids.size()) {
    throw FormatError(
        fmt::format("{}: field 'labels' is wrong: expected {} numbers as in 'input_ids', got {}. "
                    "Mend this line.",
                    row.where, row.input_ids.size(), row.labels->size()));
  }
}

void read_prompt_completion(const Json& object, DataRow& row) {
  row.kind = DataRow::Kind::kPromptCompletion;
  row.prompt = object["prompt"];
  row.completion = object["completion"];
  if (row.prompt.is_string()) {
    if (!row.completion.is_string()) {
      throw_bad_field(row.where, "completion", "a string as the prompt is one", row.completion);
    }
    return;
  }
  check_messages(row.prompt, "prompt", row.where);
  check_messages(row.completion, "completion", row.where);
}

}  // namespace

std::optional<int64_t> task_id_in(const Json& object, const std::string& where) {
  const auto task = object.find("task_id");
  if (task == object.end() || task->is_null()) return std::nullopt;
  if (task->is_number_integer()) return task->get<int64_t>();
  // A CSV file has nothing but texts; an empty one is no task.
  if (!task->is_string()) throw_bad_field(where, "task_id", "a whole number", *task);
  const auto text = task->get<std::string>();
  if (text.empty()) return std::nullopt;
  if (const auto number = whole_number<int64_t>(text)) return number;
  throw_bad_field(where, "task_id", "a whole number", *task);
}

DataRow parse_row(const Json& object, const std::string& where, const DataRowOptions& options) {
  DataRow row{.where = where};
  if (object.contains("tools")) row.tools = object["tools"];
  if (object.contains("adapter_name") && !object["adapter_name"].is_null()) {
    const Json& name = object["adapter_name"];
    if (!name.is_string()) throw_bad_field(where, "adapter_name", "a string", name);
    row.adapter_name = name.get<std::string>();
  }
  row.task_id = task_id_in(object, where);
  // Data sets often keep tools as text. Source: SFTTrainer._prepare_dataset in trl.
  if (row.tools.is_string()) row.tools = parse_json(row.tools.get<std::string>(), where);
  if (object.contains("input_ids")) {
    read_tokens(object, row);
  } else if (object.contains("prompt") && object.contains("completion")) {
    read_prompt_completion(object, row);
  } else if (object.contains("messages")) {
    row.kind = DataRow::Kind::kMessages;
    row.messages = object["messages"];
    check_messages(row.messages, "messages", where);
  } else if (object.contains(options.text_field)) {
    const Json& text = object[options.text_field];
    if (!text.is_string()) throw_bad_field(where, options.text_field, "a string", text);
    row.text = text.get<std::string>();
  } else {
    std::vector<std::string> keys;
    for (const auto& [key, value] : object.items()) keys.push_back(key);
    throw FormatError(
        fmt::format("{}: no known shape of row: expected the keys '{}', 'prompt' and 'completion', "
                    "'messages', or "
                    "'input_ids', got {}. Rename the keys.",
                    where, options.text_field, keys.empty() ? "none" : join_names(keys)));
  }
  return row;
}

std::vector<DataRow> read_rows(const std::filesystem::path& file, const DataRowOptions& options) {
  std::vector<DataRow> rows;
  for_each_row(file, [&](Json object, const std::string& where) {
    rows.push_back(parse_row(object, where, options));
  });
  if (rows.empty()) {
    throw FormatError(fmt::format(
        "{}: holds no rows: expected one JSON object a line. Check the path.", file.string()));
  }
  return rows;
}

DataFiles find_data(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    if (std::filesystem::exists(path)) return {.train = path};
    throw NotFoundError(fmt::format(
        "{}: no such data set: expected a JSONL or CSV file, or a folder that holds train.jsonl. "
        "Check --dataset_name.",
        path.string()));
  }
  const auto file = [&](const std::string& part) -> std::optional<std::filesystem::path> {
    for (const char* format : {".jsonl", ".csv"}) {
      if (std::filesystem::exists(path / (part + format))) return path / (part + format);
    }
    return std::nullopt;
  };
  const auto train = file("train");
  if (!train) {
    throw NotFoundError(fmt::format(
        "{}: no training set: expected a file train.jsonl or train.csv in this folder. Name the "
        "file itself.",
        path.string()));
  }
  return {.train = *train, .valid = file("valid")};
}

}  // namespace peft::train
