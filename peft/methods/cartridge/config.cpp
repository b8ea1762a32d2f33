#include "peft/methods/cartridge/config.h"

namespace peft {

void CartridgeConfig::validate() const {
  const char* const name = "CartridgeConfig";
  if (peft_type != "CARTRIDGE") {
    throw_prompt_config(name, "peft_type", "'CARTRIDGE'", "'" + peft_type + "'");
  }
  check_prompt_fields(name, PeftConfig(*this).shared());
  if (num_frozen_tokens < 0 || num_frozen_tokens > *num_virtual_tokens) {
    throw_prompt_config(name, "num_frozen_tokens",
                        "0 to num_virtual_tokens = " + std::to_string(*num_virtual_tokens),
                        std::to_string(num_frozen_tokens));
  }
}

}  // namespace peft
