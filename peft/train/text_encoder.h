#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "peft/base/json.h"

namespace peft::train {

/// A conversation as token ids; `assistant` marks those that the assistant speaks (empty unless
/// asked for).
struct EncodedChat {
  std::vector<int64_t> ids = {};
  std::vector<bool> assistant = {};
};

struct ChatRequest {
  Json messages = {};
  Json tools = {};  // null: none
  bool add_generation_prompt = false;
  bool mark_assistant = false;
};

/// What training needs of a tokenizer and its chat template.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;

  /// The ids of a text with the special tokens that the tokenizer adds, as Python's
  /// `tokenizer(text)`.
  virtual std::vector<int64_t> encode(const std::string& text) const = 0;

  /// The ids of a conversation through the chat template, as Python's `apply_chat_template`.
  /// Throws: ConfigError where there is no template or it refuses the messages.
  virtual EncodedChat encode_chat(const ChatRequest& request) const = 0;

  /// The text of the token that ends a sequence; empty where there is none.
  virtual std::string eos_token() const = 0;
};

}  // namespace peft::train
