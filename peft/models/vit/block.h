#pragma once

#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "peft/models/common/encoder_blocks.h"
#include "peft/models/vit/config.h"

/// Source: transformers/models/vit/modeling_vit.py.
namespace peft::vit {

/// `attention` of a block.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const ViTConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const EncoderContext& context);

  torch::nn::Linear q_proj, k_proj, v_proj, o_proj;

 private:
  int64_t heads_;
  double dropout_;
};
TORCH_MODULE(Attention);

/// `mlp` of a block.
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(const ViTConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Linear fc1, fc2;

 private:
  Activation activation_;
};
TORCH_MODULE(Mlp);

/// One layer of the encoder: what it reads is normed, what it adds is not.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const ViTConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const EncoderContext& context);

  Attention attention;
  torch::nn::LayerNorm layernorm_before, layernorm_after;
  Mlp mlp;

 private:
  double dropout_;
};
TORCH_MODULE(Block);

}  // namespace peft::vit
