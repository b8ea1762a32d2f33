#include "peft/adapter/method.h"

#include "peft/methods/cartridge/config.h"
#include "peft/methods/cartridge/encoder.h"

namespace peft::cartridge {

extern const Method kMethod;
const Method kMethod{
    .name = "CARTRIDGE",
    .key_prefix = "cartridge_",
    .parse =
        [](const Json& object, std::string_view where) {
          return parse_method_config<CartridgeConfig>(object, where);
        },
    .make_prompt_encoder = [](const PeftConfig& config,
                              const PromptFacts&) -> std::shared_ptr<BasePromptEncoder> {
      return std::make_shared<CartridgeEncoder>(config.as<CartridgeConfig>());
    },
    .prompt_is_cache = true,
    .can_merge = false,
};

}  // namespace peft::cartridge
