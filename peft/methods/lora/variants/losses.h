#pragma once

#include <ATen/core/Tensor.h>

#include "peft/adapter/tuner.h"

namespace peft::lora {

/// What KaSA adds to the loss of a model: the sum over the layers of the active adapters; zero
/// where there are none.  -> scalar float32 Source: LoraModel._get_kasa_loss in
/// peft/tuners/lora/model.py.
at::Tensor kasa_loss(const Tuner& tuner);

/// What MonteCLoRA adds to the loss of a model while it trains: the mean over the layers of the
/// active adapters; zero in evaluation mode and where there are none.  -> scalar float32
/// Source: LoraModel._get_monteclora_loss.
at::Tensor monteclora_loss(const Tuner& tuner);

}  // namespace peft::lora
