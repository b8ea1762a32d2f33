#include "peft/adapter/method.h"

#include "peft/methods/prefix_tuning/config.h"
#include "peft/methods/prefix_tuning/encoder.h"

namespace peft::prefix_tuning {

extern const Method kMethod;
const Method kMethod{
    .name = "PREFIX_TUNING",
    .key_prefix = "prefix_tuning_",
    .parse =
        [](const Json& object, std::string_view where) {
          return parse_method_config<PrefixTuningConfig>(object, where);
        },
    .make_prompt_encoder = [](const PeftConfig& config,
                              const PromptFacts&) -> std::shared_ptr<BasePromptEncoder> {
      return std::make_shared<PrefixEncoder>(config.as<PrefixTuningConfig>());
    },
    .prompt_is_cache = true,
    .can_merge = false,
};

}  // namespace peft::prefix_tuning
