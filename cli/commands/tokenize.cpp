#include <fmt/core.h>

#include <fstream>

#include "cli/chat_file.h"
#include "cli/commands.h"
#include "cli/hub_progress.h"
#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/text.h"
#include "peft/chat_tokenizer.h"
#include "peft/hub/resolve.h"
#include "peft/train/data_row.h"

namespace peft::cli {

namespace {

struct TokenizeOptions {
  std::filesystem::path model_name_or_path = {};
  std::optional<std::string> text = {};
  std::filesystem::path input = {};
  std::filesystem::path messages = {};
  std::filesystem::path chat_template = {};
  bool add_generation_prompt = false;
  bool as_text = false;
  bool add_special_tokens = false;

  static void fields(auto& self, auto&& field) {
    field("model_name_or_path", self.model_name_or_path,
          "Checkpoint folder, .gguf file or repository of the Hub; its tokenizer is enough.",
          Required{});
    field("text", self.text, "A text.");
    field("input", self.input, "A file of texts: .jsonl with rows {\"text\"}, else a text a line.");
    field(
        "messages", self.messages,
        "A JSON file that holds a list of messages, or an object with \"messages\" and \"tools\".");
    field("chat_template", self.chat_template,
          "A Jinja file in place of the model's own template.");
    field("add_generation_prompt", self.add_generation_prompt,
          "End the conversation with the opening of an answer.");
    field("as_text", self.as_text, "Write the conversation as text, not as ids.");
    field("add_special_tokens", self.add_special_tokens,
          "Add the special tokens that the tokenizer puts around a text.");
  }
};

void write_ids(const std::vector<int64_t>& ids, const Console& console) {
  std::string line = "[";
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) line += ", ";
    line += std::to_string(ids[i]);
  }
  console.result(line + "]");
}

void write_text_ids(const ChatTokenizer& text, const std::string& words,
                    const TokenizeOptions& options, const Console& console) {
  write_ids(text.tokenizer().encode(words, {.add_special_tokens = options.add_special_tokens}).ids,
            console);
}

void tokenize_file(const ChatTokenizer& text, const TokenizeOptions& options,
                   const Console& console) {
  if (options.input.extension() == ".jsonl") {
    for (const auto& row : train::read_rows(options.input)) {
      if (row.kind != train::DataRow::Kind::kText) {
        throw FormatError(row.where + ": no text: expected the key 'text'.");
      }
      write_text_ids(text, row.text, options, console);
    }
    return;
  }
  if (std::filesystem::is_directory(options.input)) {
    throw IoError(fmt::format("{}: is a folder: expected a file of texts. Name a file inside it.",
                              options.input.string()));
  }
  std::ifstream stream(options.input, std::ios::binary);
  if (!stream) {
    throw NotFoundError(
        fmt::format("{}: cannot be opened: expected a file of texts. Check path and permissions.",
                    options.input.string()));
  }
  for (std::string line; std::getline(stream, line);) write_text_ids(text, line, options, console);
}

void tokenize_messages(const ChatTokenizer& text, const TokenizeOptions& options,
                       const Console& console) {
  train::ChatRequest request = read_chat(options.messages);
  request.add_generation_prompt = options.add_generation_prompt;
  if (options.as_text) {
    console.out << text.render(request).text;
  } else {
    write_ids(text.encode_chat(request).ids, console);
  }
}

int tokenize(const TokenizeOptions& options, Console& console) {
  const int sources =
      int{options.text.has_value()} + int{!options.input.empty()} + int{!options.messages.empty()};
  if (sources != 1) throw UsageError("expected exactly one of --text, --input and --messages.");
  auto text = ChatTokenizer::open(hub::tokenizer_folder(
      options.model_name_or_path, {.progress = transfer_bar(console, "tokenizer")}));
  if (!options.chat_template.empty()) {
    text = text->with_template(read_text_file(options.chat_template));
  }
  if (options.text) {
    write_text_ids(*text, *options.text, options, console);
  } else if (!options.input.empty()) {
    tokenize_file(*text, options, console);
  } else {
    tokenize_messages(*text, options, console);
  }
  return kOk;
}

}  // namespace

Command tokenize_command() {
  return command<TokenizeOptions>(
      "tokenize", "Turn text or a conversation into token ids.",
      "--model_name_or_path M (--text TEXT | --input FILE | --messages FILE.json) [FLAGS]",
      tokenize);
}

}  // namespace peft::cli
