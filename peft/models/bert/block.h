#pragma once

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "peft/models/bert/config.h"
#include "peft/models/common/encoder_blocks.h"

namespace peft::bert {

/// `attention.self` of a block.
/// Source: transformers/models/bert/modeling_bert.py, BertSelfAttention.
class SelfAttentionImpl : public torch::nn::Module {
 public:
  SelfAttentionImpl(const BertConfig& config, int64_t layer, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const EncoderContext& context);

  torch::nn::Linear query, key, value;

 private:
  int64_t heads_, layer_;
  double dropout_;
};
TORCH_MODULE(SelfAttention);

/// A projection back to the hidden states, which are added and normed: `attention.output` and
/// `output` of a block.
/// Source: BertSelfOutput, BertOutput.
class OutputImpl : public torch::nn::Module {
 public:
  OutputImpl(int64_t in, const BertConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& residual);

  torch::nn::Linear dense;
  torch::nn::LayerNorm LayerNorm;  // NOLINT(readability-identifier-naming): the checkpoint's name

 private:
  double dropout_;
};
TORCH_MODULE(Output);

/// `attention` of a block.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const BertConfig& config, int64_t layer, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const EncoderContext& context);

  SelfAttention self;
  Output output;
};
TORCH_MODULE(Attention);

/// `intermediate` of a block.
class IntermediateImpl : public torch::nn::Module {
 public:
  IntermediateImpl(const BertConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Linear dense;

 private:
  Activation activation_;
};
TORCH_MODULE(Intermediate);

/// One layer of the encoder.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const BertConfig& config, int64_t layer, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const EncoderContext& context);

  Attention attention;
  Intermediate intermediate;
  Output output;
};
TORCH_MODULE(Block);

/// All layers: `encoder` in the checkpoint's keys.
class EncoderImpl : public torch::nn::Module {
 public:
  EncoderImpl(const BertConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const EncoderContext& context, bool recompute);

  torch::nn::ModuleList layer;

 private:
  std::vector<Block> blocks_;
};
TORCH_MODULE(Encoder);

}  // namespace peft::bert
