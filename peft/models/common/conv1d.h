#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "peft/tensor/module_kind.h"

namespace peft {

/// A linear layer that stores its weight as [I, O], as GPT-2's do. Its memory is reserved, not
/// filled.
/// Source: Conv1D in transformers/pytorch_utils.py.
class Conv1DImpl : public torch::nn::Module, public DeclaresWeightUse {
 public:
  Conv1DImpl(int64_t in, int64_t out, at::TensorOptions options);

  /// x weight + bias.  x [..., I] -> [..., O]
  at::Tensor forward(const at::Tensor& x) const;
  WeightUse weight_use() const override { return WeightUse::kTransposedLinear; }

  at::Tensor weight, bias;  // [I, O], [O]
};
TORCH_MODULE(Conv1D);

}  // namespace peft
