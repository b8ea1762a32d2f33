#pragma once

#include <utility>

#include "peft/adapter/config.h"
#include "peft/tensor/state_dict.h"

namespace peft::lora {

/// A trained adapter that began with a part of the base weights (PiSSA, OLoRA, CorDA, LoRA-GA) as a
/// plain one of twice the rank, which goes on the base as it was before:
/// B' A' = B A - B₀ A₀, with the values that the adapter began with as `initial`. Tensors other
/// than A and B stay as they are. Both states have the keys of adapter_model.safetensors.
///
/// Throws: ConfigError (use_rslora together with patterns), MismatchError (a tensor is missing in
/// `initial` or has another shape), UnsupportedError (a convolution with groups).
/// Source: _convert_state_dict_for_initial_model, subtract_mutated_init in
/// peft/tuners/lora/model.py; save_pretrained in peft/peft_model.py.
std::pair<PeftConfig, StateDict> subtract_initial(const PeftConfig& config,
                                                  const StateDict& trained,
                                                  const StateDict& initial);

}  // namespace peft::lora
