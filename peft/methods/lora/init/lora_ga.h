#pragma once

#include <functional>

#include "peft/adapter/model_facts.h"
#include "peft/adapter/model_tree.h"
#include "peft/methods/lora/config.h"
#include "peft/tensor/state_dict.h"

namespace peft::lora {

/// The mean gradient of each layer that the config targets over the calls that took part in a
/// backward, by module names. `train_step` runs forward and backward on the data; only these
/// weights learn meanwhile, and the model is in training mode.  -> in the weights' shapes
///
/// Throws: ConfigError (no linear layer, or none that a gradient reached).
/// Source: estimate_gradients in peft/tuners/lora/loraga.py.
StateDict lora_ga_gradients(const ModelTree& tree, const ModelFacts& facts,
                            const LoraConfig& config, const std::function<void()>& train_step);

/// Puts gradients into `config.statistics`, where the next adapter with this config takes them
/// from.
void keep_lora_ga_gradients(LoraConfig& config, const StateDict& gradients);

}  // namespace peft::lora
