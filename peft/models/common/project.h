#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// x weightᵀ + bias. A tagged weight is read through its tag; a plain frozen one may be multiplied
/// in a wider dtype than its own where the processor is faster at that (see product_dtype).
///   x [..., I], weight [O, I], bias [O] or undefined -> [..., O]
at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

}  // namespace peft
