#pragma once

#include "peft/adapter/site.h"
#include "peft/methods/lora/config.h"

namespace peft::lora {

/// Checks that a config can be had for a parameter that target_parameters names: without an input
/// in hand there is no dropout, no bias and no variant.
///
/// Throws: ConfigError naming the field.
/// Source: ParamWrapper.__init__ in peft/tuners/lora/layer.py.
void check_parameter_target(const LoraConfig& config, const Site& site);

}  // namespace peft::lora
