#include "peft/adapter/method.h"

#include "peft/methods/multitask_prompt_tuning/config.h"
#include "peft/methods/multitask_prompt_tuning/embedding.h"

namespace peft::multitask_prompt_tuning {

extern const Method kMethod;
const Method kMethod{
    .name = "MULTITASK_PROMPT_TUNING",
    .key_prefix = "multitask_prompt_tuning_",
    .parse =
        [](const Json& object, std::string_view where) {
          return parse_method_config<MultitaskPromptTuningConfig>(object, where);
        },
    .make_prompt_encoder = [](const PeftConfig& config,
                              const PromptFacts& facts) -> std::shared_ptr<BasePromptEncoder> {
      return std::make_shared<MultitaskPromptEmbedding>(config.as<MultitaskPromptTuningConfig>(),
                                                        facts);
    },
    .can_merge = false,
};

}  // namespace peft::multitask_prompt_tuning
