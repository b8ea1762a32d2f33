#pragma once

#include "peft/adapter/site.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/lora/layer.h"

namespace peft::lora {

/// Checks that the config fits the site and draws A and B in float32 from Python's distributions.
/// `bias` is made where the config asks for one.
///
/// Throws: ConfigError, UnsupportedError.
/// Source: update_layer and reset_lora_parameters in peft/tuners/lora/layer.py.
LoraAdapter new_adapter(const LoraConfig& config, const Site& site);

}  // namespace peft::lora
