#include "peft/train/example.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"

namespace peft::train {

namespace {

std::string with_eos(const std::string& text, const std::string& eos) {
  return text.ends_with(eos) ? text : text + eos;  // an empty eos ends every text
}

/// Labels of a sequence of which the first `prompt` tokens are not counted.
std::vector<int64_t> labels_after(const std::vector<int64_t>& ids, size_t prompt) {
  std::vector<int64_t> labels = ids;
  std::fill_n(labels.begin(), std::min(prompt, labels.size()), kIgnoreLabel);
  return labels;
}

Json joined(const Json& first, const Json& second) {
  Json all = first;
  for (const Json& message : second) all.push_back(message);
  return all;
}

/// Ignores the labels of tokens that the assistant does not speak.
void keep_assistant(const std::vector<bool>& assistant, const std::string& where,
                    Example& example) {
  if (std::find(assistant.begin(), assistant.end(), true) == assistant.end()) {
    throw ConfigError(
        fmt::format("{}: --assistant_only_loss finds nothing to learn: expected a message of the "
                    "role 'assistant', "
                    "got none. Add one, or train without the flag.",
                    where));
  }
  for (size_t i = 0; i < example.labels.size(); ++i) {
    if (!assistant[i]) example.labels[i] = kIgnoreLabel;
  }
}

Example from_strings(const DataRow& row, const TextEncoder& encoder,
                     const ExampleOptions& options) {
  const auto prompt = row.prompt.get<std::string>();
  const auto completion = with_eos(row.completion.get<std::string>(), encoder.eos_token());
  Example example{.input_ids = encoder.encode(prompt + completion)};
  const size_t counted_from = options.completion_only_loss ? encoder.encode(prompt).size() : 0;
  example.labels = labels_after(example.input_ids, counted_from);
  return example;
}

Example from_message_pair(const DataRow& row, const TextEncoder& encoder,
                          const ExampleOptions& options) {
  EncodedChat all = encoder.encode_chat({.messages = joined(row.prompt, row.completion),
                                         .tools = row.tools,
                                         .mark_assistant = options.assistant_only_loss});
  Example example{.input_ids = std::move(all.ids)};
  size_t counted_from = 0;
  if (options.completion_only_loss) {
    const EncodedChat prompt = encoder.encode_chat(
        {.messages = row.prompt, .tools = row.tools, .add_generation_prompt = true});
    counted_from = prompt.ids.size();
  }
  example.labels = labels_after(example.input_ids, counted_from);
  if (options.assistant_only_loss) keep_assistant(all.assistant, row.where, example);
  return example;
}

Example from_messages(const DataRow& row, const TextEncoder& encoder,
                      const ExampleOptions& options) {
  EncodedChat chat = encoder.encode_chat({.messages = row.messages,
                                          .tools = row.tools,
                                          .mark_assistant = options.assistant_only_loss});
  Example example{.input_ids = chat.ids, .labels = chat.ids};
  if (options.assistant_only_loss) keep_assistant(chat.assistant, row.where, example);
  return example;
}

Example whole_example(const DataRow& row, const TextEncoder* encoder,
                      const ExampleOptions& options) {
  if (row.kind == DataRow::Kind::kTokens) {
    return {.input_ids = row.input_ids, .labels = row.labels.value_or(row.input_ids)};
  }
  if (encoder == nullptr) {
    throw ConfigError(
        fmt::format("{}: the row holds text, but the model has no tokenizer: expected 'input_ids'. "
                    "Put tokenizer.json beside the model, or tokenise the data.",
                    row.where));
  }
  switch (row.kind) {
    case DataRow::Kind::kPromptCompletion:
      return row.prompt.is_string() ? from_strings(row, *encoder, options)
                                    : from_message_pair(row, *encoder, options);
    case DataRow::Kind::kMessages:
      return from_messages(row, *encoder, options);
    default:
      break;
  }
  Example example{.input_ids = encoder->encode(with_eos(row.text, encoder->eos_token()))};
  example.labels = example.input_ids;
  return example;
}

/// Cuts what is beyond the limit; says whether there was something.
bool cut(Example& example, int64_t max_length) {
  if (max_length <= 0 || example.input_ids.size() <= static_cast<size_t>(max_length)) return false;
  example.input_ids.resize(max_length);
  example.labels.resize(max_length);
  return true;
}

Example checked_example(const DataRow& row, const TextEncoder* encoder,
                        const ExampleOptions& options) {
  Example example;
  try {
    example = whole_example(row, encoder, options);
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    throw ConfigError(text.starts_with(row.where) ? text : row.where + ": " + text);
  }
  if (example.input_ids.empty()) {
    throw ConfigError(fmt::format(
        "{}: the row has no tokens: expected at least one. Remove the line.", row.where));
  }
  return example;
}

}  // namespace

int64_t Example::counted() const {
  if (labels.empty()) return 0;
  return std::count_if(labels.begin() + 1, labels.end(),
                       [](int64_t label) { return label != kIgnoreLabel; });
}

Example make_example(const DataRow& row, const TextEncoder* encoder,
                     const ExampleOptions& options) {
  Example example = checked_example(row, encoder, options);
  cut(example, options.max_length);
  return example;
}

std::vector<Example> make_examples(const std::vector<DataRow>& rows, const TextEncoder* encoder,
                                   const ExampleOptions& options, int64_t* truncated) {
  std::vector<Example> examples;
  examples.reserve(rows.size());
  int64_t count = 0;
  for (const DataRow& row : rows) {
    examples.push_back(checked_example(row, encoder, options));
    if (cut(examples.back(), options.max_length)) ++count;
  }
  if (truncated != nullptr) *truncated = count;
  return examples;
}

}  // namespace peft::train
