#include "peft/train/example.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"

namespace peft::train {

namespace {

std::string with_eos(const std::string& text, const std::string& eos) {
  return text.ends_with(eos) ? text : text + eos;  // an empty eos ends every text
}

/// A row as tokens, and whether those of its prompt alone are not the beginning of it.
struct Tokenised {
  Example example = {};
  bool parted_prompt = false;
};

/// Stops counting the prompt's tokens. Tokens may merge across the end of a prompt: what counts
/// then begins where the two sequences part. Source: common_prefix_length in
/// trl/trainer/sft_trainer.py.
void ignore_prompt(const std::vector<int64_t>& prompt, Tokenised& row) {
  const std::vector<int64_t>& ids = row.example.input_ids;
  const auto parting = std::mismatch(prompt.begin(), prompt.end(), ids.begin(), ids.end()).second;
  const auto length = parting - ids.begin();
  std::fill_n(row.example.labels.begin(), length, kIgnoreLabel);
  row.parted_prompt = static_cast<size_t>(length) < prompt.size();
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

Tokenised from_strings(const DataRow& row, const TextEncoder& encoder,
                       const ExampleOptions& options) {
  const auto prompt = row.prompt.get<std::string>();
  const auto completion = with_eos(row.completion.get<std::string>(), encoder.eos_token());
  Tokenised result{.example = {.input_ids = encoder.encode(prompt + completion)}};
  result.example.labels = result.example.input_ids;
  if (options.completion_only_loss) ignore_prompt(encoder.encode(prompt), result);
  return result;
}

Tokenised from_message_pair(const DataRow& row, const TextEncoder& encoder,
                            const ExampleOptions& options) {
  EncodedChat all = encoder.encode_chat({.messages = joined(row.prompt, row.completion),
                                         .tools = row.tools,
                                         .mark_assistant = options.assistant_only_loss});
  Tokenised result{.example = {.input_ids = all.ids, .labels = all.ids}};
  if (options.completion_only_loss) {
    const EncodedChat prompt = encoder.encode_chat(
        {.messages = row.prompt, .tools = row.tools, .add_generation_prompt = true});
    ignore_prompt(prompt.ids, result);
  }
  if (options.assistant_only_loss) keep_assistant(all.assistant, row.where, result.example);
  return result;
}

Tokenised from_messages(const DataRow& row, const TextEncoder& encoder,
                        const ExampleOptions& options) {
  EncodedChat chat = encoder.encode_chat({.messages = row.messages,
                                          .tools = row.tools,
                                          .mark_assistant = options.assistant_only_loss});
  Tokenised result{.example = {.input_ids = chat.ids, .labels = chat.ids}};
  if (options.assistant_only_loss) keep_assistant(chat.assistant, row.where, result.example);
  return result;
}

Tokenised tokenised(const DataRow& row, const TextEncoder* encoder, const ExampleOptions& options) {
  if (row.kind == DataRow::Kind::kTokens) {
    return {{.input_ids = row.input_ids, .labels = row.labels.value_or(row.input_ids)}};
  }
  if (encoder == nullptr) {
    throw ConfigError(
        fmt::format("{}: the row holds text, but the model has no tokenizer: expected 'input_ids'. "
                    "Put tokenizer.json beside the model, or tokenise the data.",
                    row.where));
  }
  const bool plain = row.kind == DataRow::Kind::kText ||
                     (row.kind == DataRow::Kind::kPromptCompletion && row.prompt.is_string());
  if (plain && options.assistant_only_loss) {
    throw ConfigError(
        fmt::format("{}: --assistant_only_loss is for conversations: expected a row of messages, "
                    "got plain text. Train without the flag.",
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
  Tokenised result{
      .example = {.input_ids = encoder->encode(with_eos(row.text, encoder->eos_token()))}};
  result.example.labels = result.example.input_ids;
  return result;
}

/// Cuts what is beyond the limit; says whether there was something.
bool cut(Example& example, int64_t max_length) {
  if (max_length <= 0 || example.input_ids.size() <= static_cast<size_t>(max_length)) return false;
  example.input_ids.resize(max_length);
  example.labels.resize(max_length);
  return true;
}

Tokenised checked(const DataRow& row, const TextEncoder* encoder, const ExampleOptions& options) {
  Tokenised result;
  try {
    result = tokenised(row, encoder, options);
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    throw ConfigError(text.starts_with(row.where) ? text : row.where + ": " + text);
  }
  if (result.example.input_ids.empty()) {
    throw ConfigError(fmt::format(
        "{}: the row has no tokens: expected at least one. Remove the line.", row.where));
  }
  return result;
}

void note(bool holds, const std::string& where, ExampleReport::Finding& finding) {
  if (!holds) return;
  if (finding.rows++ == 0) finding.first = where;
}

}  // namespace

int64_t Example::counted() const {
  if (!row_target.empty() || !second_ids.empty()) return 1;
  if (labels.empty()) return 0;
  return std::count_if(labels.begin() + (kind == Labels::kOfNextToken ? 1 : 0), labels.end(),
                       [](int64_t label) { return label != kIgnoreLabel; });
}

Example make_example(const DataRow& row, const TextEncoder* encoder,
                     const ExampleOptions& options) {
  Example example = checked(row, encoder, options).example;
  cut(example, options.max_length);
  return example;
}

std::vector<Example> make_examples(const std::vector<DataRow>& rows, const TextEncoder* encoder,
                                   const ExampleOptions& options, ExampleReport* report) {
  std::vector<Example> examples;
  examples.reserve(rows.size());
  ExampleReport found;
  for (const DataRow& row : rows) {
    Tokenised result = checked(row, encoder, options);
    note(result.parted_prompt, row.where, found.parted_prompts);
    note(cut(result.example, options.max_length), row.where, found.cut);
    note(result.example.counted() == 0, row.where, found.without_loss);
    examples.push_back(std::move(result.example));
  }
  if (report != nullptr) *report = found;
  return examples;
}

}  // namespace peft::train
