#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/base/json.h"

namespace peft::tokenizers {

struct RenderOptions {
  bool add_generation_prompt = false;
  Json tools = {};      // null: none
  Json variables = {};  // further top-level names (bos_token, eos_token, ...), an object
};

/// What a template makes of a conversation.
struct Rendered {
  std::string text;
  /// Byte ranges of text inside {% generation %} blocks: the assistant's own words.
  std::vector<std::pair<size_t, size_t>> generation;
};

/// A chat template: a Jinja2 program as Hugging Face checkpoints carry it (sandboxed, with limits
/// on steps, depth and output, as a template is untrusted input).
class ChatTemplate {
 public:
  /// Throws: FormatError with line number where the source cannot be parsed.
  explicit ChatTemplate(const std::string& source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// messages: list of {"role", "content", ...}.
  /// Throws: ConfigError where the template raises or a limit is passed.
  Rendered render(const Json& messages, const RenderOptions& options = {}) const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

}  // namespace peft::tokenizers
