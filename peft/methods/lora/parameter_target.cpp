#include "peft/methods/lora/parameter_target.h"

#include "peft/base/error.h"

namespace peft::lora {

void check_parameter_target(const LoraConfig& config, const Site& site) {
  const auto refuse = [&](bool given, const char* field, const char* expected) {
    if (!given) return;
    throw ConfigError("target parameter '" + site.full_name() + "': " + field + ": expected " +
                      expected + " where a parameter is targeted by itself, got another value. " +
                      "Target its module, or change " + field + ".");
  };
  refuse(config.lora_dropout > 0.0, "lora_dropout", "0");
  refuse(config.fan_in_fan_out, "fan_in_fan_out", "false");
  refuse(config.lora_bias, "lora_bias", "false");
  refuse(config.use_dora, "use_dora", "false");
  refuse(!config.velora_config.is_null(), "velora_config", "null");
  refuse(!config.kasa_config.is_null(), "kasa_config", "null");
  refuse(!config.use_bdlora.is_null(), "use_bdlora", "null");
  refuse(!config.arrow_config.is_null(), "arrow_config", "null");
  refuse(!config.monteclora_config.is_null(), "monteclora_config", "null");
  refuse(!config.alora_invocation_tokens.is_null() && !config.alora_invocation_tokens.empty(),
         "alora_invocation_tokens", "null");
  refuse(!config.init_lora_weights.is_bool() && config.init_lora_weights.word() != "gaussian",
         "init_lora_weights", "true, false or 'gaussian'");
}

}  // namespace peft::lora
