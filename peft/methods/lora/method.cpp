#include "peft/adapter/method.h"

#include "peft/base/error.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/lora/init/convert.h"
#include "peft/methods/lora/layer.h"
#include "peft/methods/lora/targets.h"
#include "peft/methods/lora/warnings.h"

namespace peft::lora {

namespace {

// KaSA changes the base weights for good: what another adapter meant by them would depend on which
// of the two came first.
void check_kasa_beside(const PeftConfig& config, const std::string& other_name,
                       const PeftConfig& other) {
  const bool mine = !config.as<LoraConfig>().kasa_config.is_null();
  const bool theirs = !other.as<LoraConfig>().kasa_config.is_null();
  if (mine == theirs) return;
  throw ConfigError(
      std::string("kasa_config: KaSA cannot be combined with adapters that do not use it, since it "
                  "changes the base weights: expected ") +
      (theirs ? "kasa_config" : "null") + " as adapter '" + other_name +
      "' has, got the opposite.");
}

}  // namespace

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
    .check_beside = check_kasa_beside,
    .warn_of_new = warn_of_new,
    .warn_of_loaded = warn_of_loaded,
    .warn_of_state = warn_of_state,
    .can_merge = true,
    .can_mix = true,
};

}  // namespace peft::lora
