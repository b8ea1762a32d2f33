#include <cstddef>
#include <cstdint>
#include <string>

#include "peft/base/error.h"
#include "peft/tokenizers/chat_template.h"

/// Any bytes are a template: it may be refused, but it must neither crash nor run for ever.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string source(reinterpret_cast<const char*>(data), size);
  const peft::Json messages = {{{"role", "user"}, {"content", "Hällo"}, {"n", 1}},
                               {{"role", "assistant"}, {"content", nullptr}}};
  const peft::Json tools = {{{"type", "function"}, {"function", {{"name", "f"}, {"x", 1.5}}}}};
  try {
    peft::tokenizers::ChatTemplate(source).render(
        messages,
        {.add_generation_prompt = true, .tools = tools, .variables = {{"bos_token", "<s>"}}});
  } catch (const peft::Error&) {
  }
  return 0;
}
