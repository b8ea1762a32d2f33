#pragma once

#include <torch/nn/module.h>

#include <utility>

namespace peft {

/// x / sqrt(mean(x²) + eps) * weight over the last dimension, the mean in float32.
///   x [..., D], weight [D] -> [..., D]
/// Keeps only x and one number a row for backward. A tagged weight is read through its tag.
/// Source: transformers/models/llama/modeling_llama.py, LlamaRMSNorm.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// The sum x + delta and its norm, in one pass: what a residual connection is followed by.
///   x, delta [..., D], weight [D] -> sum [..., D], norm [..., D]
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps);

/// A norm layer whose parameter is called `weight`.
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(int64_t size, double eps, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x) const { return rms_norm(x, weight, eps_); }
  std::pair<at::Tensor, at::Tensor> add_forward(const at::Tensor& x,
                                                const at::Tensor& delta) const {
    return add_rms_norm(x, delta, weight, eps_);
  }

  at::Tensor weight;  // [D]

 private:
  double eps_;
};
TORCH_MODULE(RmsNorm);

}  // namespace peft
