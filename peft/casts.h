#pragma once

#include <torch/nn/module.h>

namespace peft {

/// Parameters that learn become float32, all others `dtype`: for training in mixed precision.
/// Source: cast_mixed_precision_params in peft/utils/other.py.
void cast_mixed_precision_params(torch::nn::Module& model, at::ScalarType dtype);

/// Freezes a base model and makes its half-precision parameters float32.
/// Source: the casting part of prepare_model_for_kbit_training in peft/utils/other.py.
void prepare_model_for_kbit_training(torch::nn::Module& model);

}  // namespace peft
