#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// silu(gate) * up, elementwise; keeps the two inputs alone for backward.
///   gate, up [..., I] of one shape and dtype -> [..., I]
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace peft
