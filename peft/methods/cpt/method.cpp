#include "peft/adapter/method.h"

#include "peft/methods/cpt/config.h"
#include "peft/methods/cpt/embedding.h"

namespace peft::cpt {

extern const Method kMethod;
const Method kMethod{
    .name = "CPT",
    .key_prefix = "cpt_",
    .parse = [](const Json& object,
                std::string_view where) { return parse_method_config<CPTConfig>(object, where); },
    .make_prompt_encoder = [](const PeftConfig& config,
                              const PromptFacts& facts) -> std::shared_ptr<BasePromptEncoder> {
      return std::make_shared<CPTEmbedding>(config.as<CPTConfig>(), facts);
    },
    .can_merge = false,
};

}  // namespace peft::cpt
