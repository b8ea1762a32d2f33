#pragma once

#include <optional>
#include <string_view>

#include "peft/adapter/config_values.h"

namespace peft::lora {

/// target_modules where the config gives none; nullopt for a model type without a default.
/// Source: TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING in peft/utils/constants.py.
std::optional<TargetModules> default_targets(std::string_view model_type);

}  // namespace peft::lora
