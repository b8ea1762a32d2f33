#include "peft/methods/adaption_prompt/config.h"

namespace peft {

void AdaptionPromptConfig::validate() const {
  const char* const name = "AdaptionPromptConfig";
  constexpr int64_t kMost = int64_t{1} << 20;
  if (peft_type != "ADAPTION_PROMPT") {
    throw_prompt_config(name, "peft_type", "'ADAPTION_PROMPT'", "'" + peft_type + "'");
  }
  if (target_modules.is_list()) {
    throw_prompt_config(name, "target_modules", "one name or null", target_modules.text());
  }
  const auto check = [&](const char* field, const std::optional<int64_t>& value) {
    if (value && *value >= 1 && *value <= kMost) return;
    throw_prompt_config(name, field, "a number from 1 to " + std::to_string(kMost),
                        value ? std::to_string(*value) : "null");
  };
  check("adapter_len", adapter_len);
  check("adapter_layers", adapter_layers);
}

}  // namespace peft
