#include "peft/methods/prefix_tuning/config.h"

namespace peft {

void PrefixTuningConfig::validate() const {
  const char* const name = "PrefixTuningConfig";
  if (peft_type != "PREFIX_TUNING") {
    throw_prompt_config(name, "peft_type", "'PREFIX_TUNING'", "'" + peft_type + "'");
  }
  check_prompt_fields(name, PeftConfig(*this).shared());
  if (init_weights && *init_weights != "zero") {
    throw_prompt_config(name, "init_weights", "'zero' or null", "'" + *init_weights + "'");
  }
}

}  // namespace peft
