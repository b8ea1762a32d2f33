#pragma once

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

namespace peft {

/// torch::nn::Linear with memory that is reserved but neither filled nor touched: a model that is
/// about to be loaded does not pay for random numbers.
torch::nn::Linear make_linear(int64_t in, int64_t out, bool bias, at::TensorOptions options);

/// torch::nn::Embedding in the same manner.
torch::nn::Embedding make_embedding(int64_t rows, int64_t width, at::TensorOptions options);

/// torch::nn::LayerNorm over the last dimension, with weight and bias, in the same manner.
torch::nn::LayerNorm make_layer_norm(int64_t width, double eps, at::TensorOptions options);

/// What the layer computes.  x [..., width] -> the same shape
at::Tensor normalize(const at::Tensor& x, const torch::nn::LayerNorm& layer);

/// Gives a model whose head was its embedding a module `lm_head` with a weight of its own, or its
/// lm_head another weight.  head: the model's holder of it; weight [V, width]
void give_own_head(torch::nn::Module& model, torch::nn::Linear& head, const at::Tensor& weight);

}  // namespace peft
