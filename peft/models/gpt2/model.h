#pragma once

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/normalization.h>

#include <string>

#include "peft/models/common/conv1d.h"
#include "peft/models/common/decoder_language_model.h"
#include "peft/models/gpt2/config.h"
#include "peft/tensor/attention_addition.h"

namespace peft::gpt2 {

/// Attention with one projection for queries, keys and values: `attn` of a block.
/// Source: transformers/models/gpt2/modeling_gpt2.py, GPT2Attention.
class AttentionImpl : public torch::nn::Module, public TakesAttentionAddition {
 public:
  /// Layer number `index`, scaled as layer `like`.
  AttentionImpl(const GPT2Config& config, int64_t index, int64_t like, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context);

  Conv1D c_attn, c_proj;

 private:
  at::Tensor split_heads(const at::Tensor& x) const;
  at::Tensor make_addition(const at::Tensor& query) const;

  int64_t layer_, heads_;
  double scale_, attention_dropout_, output_dropout_;
};
TORCH_MODULE(Attention);

/// The feed-forward network: `mlp` of a block.
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(const GPT2Config& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x);

  Conv1D c_fc, c_proj;

 private:
  Activation activation_;
  double dropout_;
};
TORCH_MODULE(Mlp);

/// One layer: `h.<number>`.
class BlockImpl final : public DecoderBlockImpl {
 public:
  BlockImpl(const GPT2Config& config, int64_t index, int64_t like, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context) override;

  torch::nn::LayerNorm ln_1, ln_2;
  Attention attn;
  Mlp mlp;
};

/// GPT-2 without a head: `transformer` in the keys of a language model.
class GPT2ModelImpl final : public DecoderModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  GPT2ModelImpl(const Json& config, at::TensorOptions options);

  /// Token types are tokens, whose embeddings are added.
  EncoderOutput forward(const EncoderInput& input) override;
  const at::Tensor& embedding_weight() const override { return wte_->weight; }
  ModelShape shape() const override;
  /// Causal masks, which old files have.
  bool may_ignore(const std::string& key) const override;

 protected:
  at::Tensor before_blocks(const at::Tensor& embeds, const LanguageModelInput& input) override;
  at::Tensor after_blocks(const at::Tensor& x) override;

 private:
  GPT2Config config_;
  torch::nn::Embedding wte_{nullptr}, wpe_{nullptr};
  torch::nn::LayerNorm ln_f_{nullptr};
};

/// GPT-2 as a language model.
class GPT2LMHeadModelImpl final : public DecoderLanguageModelImpl {
 public:
  using DecoderLanguageModelImpl::DecoderLanguageModelImpl;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::gpt2
