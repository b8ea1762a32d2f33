#include "peft/adapter/method.h"

#include "peft/methods/p_tuning/config.h"
#include "peft/methods/p_tuning/encoder.h"

namespace peft::p_tuning {

extern const Method kMethod;
const Method kMethod{
    .name = "P_TUNING",
    .key_prefix = "p_tuning_",
    .parse =
        [](const Json& object, std::string_view where) {
          return parse_method_config<PromptEncoderConfig>(object, where);
        },
    .make_prompt_encoder = [](const PeftConfig& config,
                              const PromptFacts&) -> std::shared_ptr<BasePromptEncoder> {
      return std::make_shared<PromptEncoder>(config.as<PromptEncoderConfig>());
    },
    .can_merge = false,
};

}  // namespace peft::p_tuning
