#include "peft/task_examples.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

using tokenizers::EncodeOptions;
using tokenizers::Encoding;
using train::RowTask;
using train::TaskRow;

EncodeOptions encode_options(int64_t max_length, RowTask task) {
  EncodeOptions options;
  if (max_length > 0) options.max_length = static_cast<size_t>(max_length);
  if (task == RowTask::kQuestionAnswering) {
    options.truncation = tokenizers::TruncationStrategy::kOnlySecond;
  }
  return options;
}

double number_in(const Json& label, const std::string& where) {
  if (label.is_number()) return label.get<double>();
  const auto text = label.is_string() ? label.get<std::string>() : std::string();
  if (const auto number = whole_number<double>(text)) return *number;
  throw ConfigError(fmt::format("{}: label: expected a number, got {}.", where, label.dump()));
}

// One class; a number a label that is 1 for those of the row; or the numbers that are to be met.
std::vector<double> row_target(const TaskRow& row, const LabelSet& labels) {
  if (labels.problem_type == "regression") {
    std::vector<double> numbers;
    const Json list = row.label.is_array() ? row.label : Json::array({row.label});
    for (const Json& number : list) numbers.push_back(number_in(number, row.where));
    if (numbers.size() == labels.names.size()) return numbers;
    throw ConfigError(fmt::format("{}: label: expected {} numbers, got {}.", row.where,
                                  labels.names.size(), numbers.size()));
  }
  if (labels.problem_type != "multi_label_classification") {
    return {static_cast<double>(labels.number_of(label_name(row.label), row.where))};
  }
  std::vector<double> present(labels.names.size(), 0.0);
  for (const Json& label : row.label) {
    present[static_cast<size_t>(labels.number_of(label_name(label), row.where))] = 1.0;
  }
  return present;
}

// The words with a space between them, and where each begins and ends.
std::pair<std::string, std::vector<std::pair<size_t, size_t>>> joined(
    const std::vector<std::string>& words) {
  std::string text;
  std::vector<std::pair<size_t, size_t>> places;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    places.emplace_back(text.size(), text.size() + word.size());
    text += word;
  }
  return {text, places};
}

// Tokens may take the space before their word with them.
void find_words(const Encoding& encoding, const std::vector<std::pair<size_t, size_t>>& places,
                TaskEncoding& result) {
  result.first_tokens.assign(places.size(), std::nullopt);
  size_t word = 0;
  for (size_t i = encoding.text_ranges[0].first; i < encoding.text_ranges[0].second; ++i) {
    const auto [begin, end] = encoding.offsets[i];
    while (word < places.size() && places[word].second <= begin) ++word;
    if (word == places.size() || end <= places[word].first) continue;
    auto& first = result.first_tokens[word];
    if (!first) first = static_cast<int64_t>(i);
  }
}

TaskEncoding encode_words(const TaskRow& row, const LabelSet& labels,
                          const tokenizers::Tokenizer& tokenizer, const EncodeOptions& options) {
  const auto [text, places] = joined(row.words);
  const Encoding encoding = tokenizer.encode(text, options);
  TaskEncoding result{
      .example = {.input_ids = encoding.ids, .kind = train::Example::Labels::kOfTheirOwn}};
  find_words(encoding, places, result);
  result.example.labels.assign(encoding.ids.size(), train::kIgnoreLabel);
  if (row.label.is_null()) return result;
  for (size_t i = 0; i < places.size(); ++i) {
    const int64_t label = labels.number_of(label_name(row.label[i]), row.where);
    if (const auto token = result.first_tokens[i]) {
      result.example.labels[static_cast<size_t>(*token)] = label;
    }
  }
  return result;
}

// The byte at which a character begins.  Throws where the text is shorter.
size_t byte_of(const std::string& text, int64_t character, const std::string& where) {
  size_t byte = 0;
  for (int64_t i = 0; i < character && byte < text.size(); ++i) {
    do {
      ++byte;
    } while (byte < text.size() && (static_cast<unsigned char>(text[byte]) & 0xC0) == 0x80);
  }
  if (byte < text.size()) return byte;
  throw ConfigError(
      fmt::format("{}: answer_start: expected a place in the context, got {}.", where, character));
}

void find_answer(const TaskRow& row, TaskEncoding& result) {
  result.example.row_target = {0.0, 0.0};
  if (row.answer.empty()) return;
  const std::string& context = *row.text_pair;
  const size_t begin = byte_of(context, row.answer_start, row.where);
  const size_t end = begin + row.answer.size();
  if (context.compare(begin, row.answer.size(), row.answer) != 0) {
    throw ConfigError(fmt::format(
        "{}: answers: expected {} at character {} of the context, got {}.", row.where,
        quote(row.answer), row.answer_start, quote(context.substr(begin, row.answer.size()))));
  }
  std::optional<size_t> first, last;
  for (size_t i = 0; i < result.spans.size(); ++i) {
    const auto& span = result.spans[i];
    if (!span || span->second <= begin || span->first >= end) continue;
    if (!first) first = i;
    last = i;
  }
  // An answer of which a part was cut away is none.
  if (!first || result.spans[*first]->first > begin || result.spans[*last]->second < end) return;
  result.example.row_target = {static_cast<double>(*first), static_cast<double>(*last)};
}

TaskEncoding question_encoding(const TaskRow& row, const Encoding& encoding, size_t first_token) {
  TaskEncoding result{.example = {.input_ids = encoding.ids, .task_id = row.task_id}};
  const auto [begin, end] = encoding.text_ranges[1];
  result.spans.assign(encoding.ids.size(), std::nullopt);
  for (size_t i = begin; i < end; ++i) result.spans[i] = encoding.offsets[i];
  result.example.window = train::TextWindow{.begin = static_cast<int64_t>(begin),
                                            .end = static_cast<int64_t>(end),
                                            .first_token = static_cast<int64_t>(first_token)};
  find_answer(row, result);
  return result;
}

TaskEncoding encode_question(const TaskRow& row, const tokenizers::Tokenizer& tokenizer,
                             const EncodeOptions& options) {
  return question_encoding(row, tokenizer.encode_pair(row.text, *row.text_pair, options), 0);
}

std::vector<tokenizers::EncodedWindow> windows_of(const TaskRow& row,
                                                  const tokenizers::Tokenizer& tokenizer,
                                                  size_t max_length, size_t stride) {
  try {
    return tokenizer.encode_pair_windows(row.text, *row.text_pair, max_length, stride);
  } catch (const ConfigError& error) {
    throw ConfigError(row.where + ": " + error.what());
  }
}

TaskEncoding encode_texts(const TaskRow& row, RowTask task, const LabelSet& labels,
                          const tokenizers::Tokenizer& tokenizer,
                          const TaskEncodeOptions& options) {
  const EncodeOptions settings = encode_options(options.max_length, task);
  const Encoding encoding = row.text_pair
                                ? tokenizer.encode_pair(row.text, *row.text_pair, settings)
                                : tokenizer.encode(row.text, settings);
  TaskEncoding result{.example = {.input_ids = encoding.ids}};
  if (options.with_type_ids) result.example.token_type_ids = encoding.type_ids;
  if (task == RowTask::kSeq2SeqLM) {
    result.example.labels =
        tokenizer.encode(row.target, encode_options(options.max_target, task)).ids;
    result.example.kind = train::Example::Labels::kOfTheirOwn;
  } else if (!row.label.is_null()) {
    result.example.row_target = row_target(row, labels);
  }
  return result;
}

}  // namespace

std::vector<TaskEncoding> encode_question_windows(const TaskRow& row,
                                                  const tokenizers::Tokenizer& tokenizer,
                                                  const TaskEncodeOptions& options) {
  if (options.max_length <= 0) return {encode_question(row, tokenizer, {})};
  std::vector<TaskEncoding> encodings;
  for (const auto& window :
       windows_of(row, tokenizer, static_cast<size_t>(options.max_length),
                  static_cast<size_t>(std::max<int64_t>(options.doc_stride, 0)))) {
    encodings.push_back(question_encoding(row, window.encoding, window.first_token));
  }
  return encodings;
}

TaskEncoding encode_task_row(const TaskRow& row, RowTask task, const LabelSet& labels,
                             const tokenizers::Tokenizer& tokenizer,
                             const TaskEncodeOptions& options) {
  const EncodeOptions settings = encode_options(options.max_length, task);
  if (task == RowTask::kQuestionAnswering) return encode_question(row, tokenizer, settings);
  TaskEncoding encoding = task == RowTask::kTokenClassification
                              ? encode_words(row, labels, tokenizer, settings)
                              : encode_texts(row, task, labels, tokenizer, options);
  encoding.example.task_id = row.task_id;
  return encoding;
}

}  // namespace peft
