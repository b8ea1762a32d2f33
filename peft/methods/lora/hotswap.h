#pragma once

#include <string>

#include "peft/adapter/tuner.h"
#include "peft/methods/lora/config.h"
#include "peft/tensor/state_dict.h"

namespace peft::lora {

/// Fills an adapter with another one's values in place, scaling included. Where the new rank is
/// smaller the rest is 0, and so is a layer that the new adapter lacks; where it is larger the
/// parameters keep their objects and get new storage. The adapter's config follows.
///
/// Throws: ConfigError (it is merged; settings that decide the output differ), MismatchError
/// (layers that the model's adapter lacks; another width), UnsupportedError (variants). Then
/// nothing has changed.
/// Source: hotswap_adapter_from_state_dict in peft/utils/hotswap.py.
void hotswap_adapter(Tuner& tuner, const std::string& adapter, const StateDict& tensors,
                     const LoraConfig& config);

/// Gives every adapter `target_rank`, filled up with zeros: the model computes the same, and
/// adapters of up to that rank can then be swapped in without new storage.
///
/// Throws: ConfigError (no adapter, a rank that is larger, one that groups do not divide).
/// Source: prepare_model_for_compiled_hotswap in peft/utils/hotswap.py.
void pad_adapters(Tuner& tuner, int64_t target_rank);

}  // namespace peft::lora
