#pragma once

#include <vector>

#include "peft/adapter/model_facts.h"
#include "peft/adapter/model_tree.h"
#include "peft/adapter/site.h"
#include "peft/methods/lora/config.h"

namespace peft::lora {

/// The linear layers, of either orientation, that a config will adapt.
/// Throws: ConfigError where target_modules is absent and the model's type has no default.
/// Source: target_modules in peft/tuners/lora/corda.py, get_target_modules in
/// peft/tuners/lora/loraga.py.
std::vector<FoundSite> target_layers(const ModelTree& tree, const ModelFacts& facts,
                                     LoraConfig config);

}  // namespace peft::lora
