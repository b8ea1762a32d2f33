#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/base/json.h"
#include "peft/formats/checkpoint.h"
#include "peft/tokenizers/chat_template.h"
#include "peft/tokenizers/tokenizer.h"
#include "peft/train/text_encoder.h"

namespace peft {

/// The text side of a checkpoint: its tokenizer, its chat template and where a generation ends.
/// Immutable; concurrent use is allowed.
class ChatTokenizer final : public train::TextEncoder {
 public:
  /// Throws: NotFoundError where the checkpoint has no tokenizer; FormatError.
  static std::shared_ptr<const ChatTokenizer> from_checkpoint(
      const formats::Checkpoint& checkpoint);

  /// Opens a checkpoint folder, a folder that holds no more than a tokenizer (tokenizer.json, a
  /// SentencePiece model, vocab.txt, or vocab.json and merges.txt), or a GGUF file.
  /// Throws: NotFoundError, FormatError.
  static std::shared_ptr<const ChatTokenizer> open(const std::filesystem::path& path);

  const tokenizers::Tokenizer& tokenizer() const { return *tokenizer_; }
  std::shared_ptr<const tokenizers::Tokenizer> shared_tokenizer() const { return tokenizer_; }

  std::vector<int64_t> encode(const std::string& text) const override;
  train::EncodedChat encode_chat(const train::ChatRequest& request) const override;
  std::string eos_token() const override;

  /// What the template makes of a conversation.  Throws: ConfigError where there is no template.
  tokenizers::Rendered render(const train::ChatRequest& request) const;

  /// Uses another template than the checkpoint's.  Throws: FormatError.
  std::shared_ptr<const ChatTokenizer> with_template(const std::string& source) const;

  /// The tokens that end a generation: eos_token_id of generation_config.json, the tokenizer's end
  /// of sequence, and the token with which the template ends a turn of the assistant.
  const std::vector<int64_t>& stop_token_ids() const { return stop_ids_; }

  /// The token for padding; where there is none, that of the end of sequence, else 0.
  int64_t pad_id() const;

 private:
  ChatTokenizer() = default;
  static std::shared_ptr<const ChatTokenizer> assemble(
      std::shared_ptr<const tokenizers::Tokenizer> tokenizer,
      const std::optional<std::string>& chat_template, Json generation_config);
  void find_stop_ids(const Json& generation_config);
  std::vector<std::pair<size_t, size_t>> assistant_ranges(const train::ChatRequest& request,
                                                          const tokenizers::Rendered& all) const;

  std::shared_ptr<const tokenizers::Tokenizer> tokenizer_;
  std::shared_ptr<const tokenizers::ChatTemplate> template_;  // null: none
  Json generation_config_;
  std::vector<int64_t> stop_ids_;
};

}  // namespace peft
