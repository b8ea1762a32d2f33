#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/linear.h>

namespace peft {

/// x weightᵀ + bias. A tagged weight is read through its tag; a plain frozen one may be multiplied
/// in a wider dtype than its own where the processor is faster at that (see product_dtype).
///   x [..., I], weight [O, I], bias [O] or undefined -> [..., O]
at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// The same with a layer's weight and bias. Not the layer's own forward: the weight may carry an
/// adapter, which sees this call.
at::Tensor project(const at::Tensor& x, const torch::nn::Linear& layer);

}  // namespace peft
