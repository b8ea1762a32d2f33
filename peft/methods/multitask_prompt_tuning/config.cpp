#include "peft/methods/multitask_prompt_tuning/config.h"

#include "peft/adapter/prompt_init.h"

namespace peft {
namespace {

bool needs_source(const std::string& init) {
  return init == "AVERAGE_SOURCE_TASKS" || init == "EXACT_SOURCE_TASK" ||
         init == "ONLY_SOURCE_SHARED";
}

}  // namespace

void MultitaskPromptTuningConfig::validate() const {
  const char* const name = "MultitaskPromptTuningConfig";
  if (peft_type != "MULTITASK_PROMPT_TUNING") {
    throw_prompt_config(name, "peft_type", "'MULTITASK_PROMPT_TUNING'", "'" + peft_type + "'");
  }
  check_prompt_fields(name, PeftConfig(*this).shared());
  check_prompt_init(name,
                    {.word = prompt_tuning_init,
                     .text = prompt_tuning_init_text,
                     .tokenizer = tokenizer_name_or_path,
                     .tokenizer_kwargs = tokenizer_kwargs},
                    {"TEXT", "RANDOM", "SAMPLE_VOCAB", "AVERAGE_SOURCE_TASKS", "EXACT_SOURCE_TASK",
                     "ONLY_SOURCE_SHARED"});
  constexpr int64_t kMost = int64_t{1} << 20;
  if (num_ranks < 1 || num_ranks > kMost) {
    throw_prompt_config(name, "num_ranks", "a number from 1 to " + std::to_string(kMost),
                        std::to_string(num_ranks));
  }
  if (num_tasks < 1 || num_tasks > kMost) {
    throw_prompt_config(name, "num_tasks", "a number from 1 to " + std::to_string(kMost),
                        std::to_string(num_tasks));
  }
  // A prompt that is read from a file has begun already.
  if (!inference_mode && needs_source(prompt_tuning_init) && !prompt_tuning_init_state_dict_path) {
    throw_prompt_config(name, "prompt_tuning_init_state_dict_path",
                        "a file of source tasks where prompt_tuning_init is " + prompt_tuning_init,
                        "null");
  }
}

}  // namespace peft
