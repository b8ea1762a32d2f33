#include "peft/methods/prompt_tuning/config.h"

#include "peft/adapter/prompt_init.h"
#include "peft/base/error.h"

namespace peft {

void PromptTuningConfig::validate() const {
  if (peft_type != "PROMPT_TUNING") {
    throw_prompt_config("PromptTuningConfig", "peft_type", "'PROMPT_TUNING'",
                        "'" + peft_type + "'");
  }
  check_prompt_fields("PromptTuningConfig", PeftConfig(*this).shared());
  check_prompt_init("PromptTuningConfig",
                    {.word = prompt_tuning_init,
                     .text = prompt_tuning_init_text,
                     .tokenizer = tokenizer_name_or_path,
                     .tokenizer_kwargs = tokenizer_kwargs},
                    {"TEXT", "SAMPLE_VOCAB", "RANDOM"});
}

}  // namespace peft
