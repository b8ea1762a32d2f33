#include "peft/adapter/method.h"

#include "peft/methods/prompt_tuning/config.h"
#include "peft/methods/prompt_tuning/embedding.h"

namespace peft::prompt_tuning {

extern const Method kMethod;
const Method kMethod{
    .name = "PROMPT_TUNING",
    .key_prefix = "prompt_tuning_",
    .parse =
        [](const Json& object, std::string_view where) {
          return parse_method_config<PromptTuningConfig>(object, where);
        },
    .make_prompt_encoder = [](const PeftConfig& config,
                              const PromptFacts& facts) -> std::shared_ptr<BasePromptEncoder> {
      return std::make_shared<PromptEmbedding>(config.as<PromptTuningConfig>(), facts);
    },
    .can_merge = false,
};

}  // namespace peft::prompt_tuning
