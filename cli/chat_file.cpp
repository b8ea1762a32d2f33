#include "cli/chat_file.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/json_text.h"

namespace peft::cli {

train::ChatRequest read_chat(const std::filesystem::path& file) {
  const Json json = read_json_file(file);
  train::ChatRequest request{.messages = json};
  if (json.is_object() && json.contains("messages")) {
    request.messages = json["messages"];
    if (json.contains("tools")) request.tools = json["tools"];
  }
  // What a message has to hold is the template's to say.
  const Json& messages = request.messages;
  const bool fits = messages.is_array() && std::all_of(messages.begin(), messages.end(),
                                                       [](const Json& m) { return m.is_object(); });
  if (!fits) {
    throw FormatError(
        fmt::format("{}: no conversation: expected a list of messages, or an object that holds one "
                    "under \"messages\". Write [{{\"role\": \"user\", \"content\": \"...\"}}].",
                    file.string()));
  }
  return request;
}

}  // namespace peft::cli
