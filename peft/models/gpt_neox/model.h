#pragma once

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <string>

#include "peft/models/common/decoder_language_model.h"
#include "peft/models/gpt_neox/config.h"

namespace peft::gpt_neox {

/// Attention with one projection for queries, keys and values, head by head, whose first numbers
/// are rotated: `attention` of a layer.
/// Source: transformers/models/gpt_neox/modeling_gpt_neox.py, GPTNeoXAttention.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const GPTNeoXConfig& config, int64_t index, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context);

  torch::nn::Linear query_key_value, dense;

 private:
  int64_t layer_, heads_, rotary_dims_;
  double scale_, dropout_;
};
TORCH_MODULE(Attention);

/// The feed-forward network: `mlp` of a layer.
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(const GPTNeoXConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Linear dense_h_to_4h, dense_4h_to_h;

 private:
  Activation activation_;
};
TORCH_MODULE(Mlp);

/// One layer: `layers.<number>`.
class BlockImpl final : public DecoderBlockImpl {
 public:
  BlockImpl(const GPTNeoXConfig& config, int64_t index, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context) override;

  torch::nn::LayerNorm input_layernorm, post_attention_layernorm;
  Attention attention;
  Mlp mlp;

 private:
  double dropout_;
  bool parallel_;
};

/// GPT-NeoX without a head: `gpt_neox` in the keys of a language model.
class GPTNeoXModelImpl final : public DecoderModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  GPTNeoXModelImpl(const Json& config, at::TensorOptions options);

  const at::Tensor& embedding_weight() const override { return embed_in_->weight; }
  ModelShape shape() const override;
  /// Causal masks and rotary frequencies, which old files have.
  bool may_ignore(const std::string& key) const override;

 protected:
  at::Tensor before_blocks(const at::Tensor& embeds, const LanguageModelInput& input) override;
  at::Tensor after_blocks(const at::Tensor& x) override;
  DecoderContext make_context(const LanguageModelInput& input,
                              const at::Tensor& embeds) const override;

 private:
  GPTNeoXConfig config_;
  RotaryEmbedding rotary_;
  torch::nn::Embedding embed_in_{nullptr};
  torch::nn::LayerNorm final_layer_norm_{nullptr};
};

/// GPT-NeoX as a language model. Its head is `lm_head`, as in transformers 5; published checkpoints
/// call it `embed_out`.
class GPTNeoXForCausalLMImpl final : public DecoderLanguageModelImpl {
 public:
  using DecoderLanguageModelImpl::DecoderLanguageModelImpl;
  std::string renamed_key(const std::string& key) const override;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::gpt_neox
