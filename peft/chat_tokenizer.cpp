#include "peft/chat_tokenizer.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"

namespace peft {

namespace {

/// The template of a folder: a file of its own, or in tokenizer_config.json as text or named texts.
std::optional<std::string> folder_template(const std::filesystem::path& folder,
                                           const Json& config) {
  if (std::filesystem::exists(folder / "chat_template.jinja")) {
    return read_text_file(folder / "chat_template.jinja");
  }
  if (!config.is_object() || !config.contains("chat_template")) return std::nullopt;
  const Json& source = config["chat_template"];
  if (source.is_string()) return source.get<std::string>();
  if (!source.is_array()) return std::nullopt;
  for (const Json& named : source) {
    if (named.is_object() && named.value("name", "") == "default")
      return named.value("template", "");
  }
  return std::nullopt;
}

Json optional_json(const std::filesystem::path& file) {
  return std::filesystem::exists(file) ? read_json_file(file) : Json();
}

std::string token_text(const tokenizers::Tokenizer& tokenizer, const std::optional<int64_t>& id) {
  return id ? tokenizer.id_to_token(*id).value_or("") : "";
}

bool overlaps(const std::pair<size_t, size_t>& a, const std::pair<size_t, size_t>& b) {
  return a.first < b.second && b.first < a.second;
}

}  // namespace

std::shared_ptr<const ChatTokenizer> ChatTokenizer::open(const std::filesystem::path& path) {
  if (!tokenizers::Tokenizer::is_in_folder(path)) {
    return from_checkpoint(*formats::Checkpoint::open(path));
  }
  const Json config = optional_json(path / "tokenizer_config.json");
  return assemble(tokenizers::Tokenizer::from_folder(path), folder_template(path, config),
                  optional_json(path / "generation_config.json"));
}

std::shared_ptr<const ChatTokenizer> ChatTokenizer::from_checkpoint(
    const formats::Checkpoint& checkpoint) {
  if (checkpoint.tokenizer_file()) return open(checkpoint.path());
  const Json metadata = checkpoint.gguf_metadata();
  if (!metadata.is_object()) {
    throw NotFoundError(fmt::format(
        "{}: no tokenizer: expected tokenizer.json, tokenizer.model, vocab.txt, or "
        "vocab.json and merges.txt in this folder. Copy them from the model's repository.",
        checkpoint.path().string()));
  }
  return assemble(tokenizers::Tokenizer::from_gguf_metadata(metadata, checkpoint.path().string()),
                  checkpoint.chat_template(), checkpoint.generation_config());
}

std::shared_ptr<const ChatTokenizer> ChatTokenizer::assemble(
    std::shared_ptr<const tokenizers::Tokenizer> tokenizer,
    const std::optional<std::string>& chat_template, Json generation_config) {
  std::shared_ptr<ChatTokenizer> result(new ChatTokenizer);
  result->tokenizer_ = std::move(tokenizer);
  if (chat_template) {
    result->template_ = std::make_shared<tokenizers::ChatTemplate>(*chat_template);
  }
  result->generation_config_ = std::move(generation_config);
  result->find_stop_ids(result->generation_config_);
  return result;
}

std::shared_ptr<const ChatTokenizer> ChatTokenizer::with_template(const std::string& source) const {
  std::shared_ptr<ChatTokenizer> result(new ChatTokenizer(*this));
  result->template_ = std::make_shared<tokenizers::ChatTemplate>(source);
  result->find_stop_ids(generation_config_);
  return result;
}

std::vector<int64_t> ChatTokenizer::encode(const std::string& text) const {
  return tokenizer_->encode(text).ids;
}

std::string ChatTokenizer::eos_token() const { return token_text(*tokenizer_, tokenizer_->eos_id); }

int64_t ChatTokenizer::pad_id() const {
  return tokenizer_->pad_id.value_or(tokenizer_->eos_id.value_or(0));
}

tokenizers::Rendered ChatTokenizer::render(const train::ChatRequest& request) const {
  if (template_ == nullptr) {
    throw ConfigError(
        "the model has no chat template: expected chat_template.jinja or a chat_template in "
        "tokenizer_config.json. Give a plain prompt instead.");
  }
  Json variables = Json::object();
  const auto add = [&](const char* name, const std::optional<int64_t>& id) {
    if (id) variables[name] = token_text(*tokenizer_, id);
  };
  add("bos_token", tokenizer_->bos_id);
  add("eos_token", tokenizer_->eos_id);
  add("pad_token", tokenizer_->pad_id);
  add("unk_token", tokenizer_->unk_id);
  return template_->render(request.messages,
                           {.add_generation_prompt = request.add_generation_prompt,
                            .tools = request.tools,
                            .variables = variables});
}

train::EncodedChat ChatTokenizer::encode_chat(const train::ChatRequest& request) const {
  const tokenizers::Rendered rendered = render(request);
  tokenizers::Encoding encoding = tokenizer_->encode(rendered.text, {.add_special_tokens = false});
  train::EncodedChat chat{.ids = std::move(encoding.ids)};
  if (!request.mark_assistant) return chat;
  const auto ranges =
      rendered.generation.empty() ? assistant_ranges(request, rendered) : rendered.generation;
  for (const auto& place : encoding.offsets) {
    chat.assistant.push_back(std::any_of(
        ranges.begin(), ranges.end(), [&](const auto& range) { return overlaps(place, range); }));
  }
  return chat;
}

// For templates without {% generation %} blocks: what a message of the assistant adds to the text
// that asks for it.
std::vector<std::pair<size_t, size_t>> ChatTokenizer::assistant_ranges(
    const train::ChatRequest& request, const tokenizers::Rendered& all) const {
  std::vector<std::pair<size_t, size_t>> ranges;
  train::ChatRequest part{.messages = Json::array(), .tools = request.tools};
  for (const Json& message : request.messages) {
    const bool spoken = message.value("role", "") == "assistant";
    std::string before;
    if (spoken) {
      part.add_generation_prompt = true;
      before = render(part).text;
      part.add_generation_prompt = false;
    }
    part.messages.push_back(message);
    if (!spoken) continue;
    const std::string after = render(part).text;
    if (!all.text.starts_with(before) || !all.text.starts_with(after)) {
      throw ConfigError(
          "--assistant_only_loss cannot tell the assistant's words apart: expected a chat "
          "template with {% generation %} blocks, or one that only ever adds text. "
          "Train without the flag.");
    }
    ranges.emplace_back(before.size(), after.size());
  }
  return ranges;
}

void ChatTokenizer::find_stop_ids(const Json& generation_config) {
  stop_ids_.clear();
  const auto add = [&](int64_t id) {
    if (std::find(stop_ids_.begin(), stop_ids_.end(), id) == stop_ids_.end())
      stop_ids_.push_back(id);
  };
  if (generation_config.is_object() && generation_config.contains("eos_token_id")) {
    const Json& eos = generation_config["eos_token_id"];
    if (eos.is_number_integer()) add(eos.get<int64_t>());
    if (eos.is_array()) {
      for (const Json& id : eos) {
        if (id.is_number_integer()) add(id.get<int64_t>());
      }
    }
  }
  if (tokenizer_->eos_id) add(*tokenizer_->eos_id);
  if (template_ == nullptr) return;
  // A probe shows with which special token the template ends a turn.
  constexpr const char* kProbe = "a7f3";
  try {
    const auto text =
        render({.messages = Json::array({{{"role", "user"}, {"content", "b"}},
                                         {{"role", "assistant"}, {"content", kProbe}}})})
            .text;
    const size_t at = text.rfind(kProbe);
    if (at == std::string::npos) return;
    for (const int64_t id :
         tokenizer_
             ->encode(text.substr(at + std::string(kProbe).size()), {.add_special_tokens = false})
             .ids) {
      if (!tokenizer_->is_special(id)) continue;
      add(id);
      return;
    }
  } catch (const Error&) {
    // A template that refuses the probe names no such token.
  }
}

}  // namespace peft
