#include "peft/adapter/method.h"

#include "peft/methods/lora/config.h"
#include "peft/methods/lora/init/convert.h"
#include "peft/methods/lora/layer.h"
#include "peft/methods/lora/targets.h"

namespace peft::lora {

extern const Method kMethod;
const Method kMethod{
    .name = "LORA",
    .key_prefix = "lora_",
    .parse = [](const Json& object,
                std::string_view where) { return parse_method_config<LoraConfig>(object, where); },
    .make_layer = [](const Site& site) -> std::shared_ptr<TunerLayer> {
      return std::make_shared<LoraLayer>(site);
    },
    .default_targets = default_targets,
    .subtract_initial = subtract_initial,
    .can_merge = true,
};

}  // namespace peft::lora
