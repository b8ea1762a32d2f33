#pragma once

#include <string>

#include "peft/models/common/decoder_language_model.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/rms_norm.h"
#include "peft/models/llama/config.h"
#include "peft/tensor/attention_addition.h"

namespace peft::llama {

/// Grouped-query attention with rotary positions: `self_attn` of a block.
/// Source: transformers/models/llama/modeling_llama.py, LlamaAttention.
class AttentionImpl : public torch::nn::Module, public TakesAttentionAddition {
 public:
  /// Layer number `index`, which slides where `like` does.
  AttentionImpl(const LlamaConfig& config, int64_t index, int64_t like, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context);

  torch::nn::Linear q_proj, k_proj, v_proj, o_proj;
  RmsNorm q_norm{nullptr}, k_norm{nullptr};

 private:
  at::Tensor make_addition(const at::Tensor& query) const;

  int64_t layer_, head_dim_;
  bool slides_;
  double dropout_;
};
TORCH_MODULE(Attention);

/// The gated feed-forward network: `mlp` of a block.
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(const LlamaConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Linear gate_proj, up_proj, down_proj;

 private:
  std::string activation_;
};
TORCH_MODULE(Mlp);

/// One decoder layer.
class BlockImpl final : public DecoderBlockImpl {
 public:
  BlockImpl(const LlamaConfig& config, int64_t index, int64_t like, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context) override;

  Attention self_attn;
  Mlp mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
};

/// Llama and its kin without a head: `model` in the keys of a language model.
class LlamaModelImpl final : public DecoderModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  LlamaModelImpl(const Json& config, std::string prefix, at::TensorOptions options);

  const at::Tensor& embedding_weight() const override { return embed_tokens_->weight; }
  ModelShape shape() const override;
  bool may_ignore(const std::string& key) const override { return is_rotary_buffer(key); }

 protected:
  at::Tensor before_blocks(const at::Tensor& embeds, const LanguageModelInput& input) override;
  at::Tensor after_blocks(const at::Tensor& x) override { return norm_->forward(x); }
  DecoderContext make_context(const LanguageModelInput& input,
                              const at::Tensor& embeds) const override;

 private:
  LlamaConfig config_;
  RotaryEmbedding rotary_;
  torch::nn::Embedding embed_tokens_{nullptr};
  RmsNorm norm_{nullptr};
};

/// Llama and its kin as a language model.
class LlamaForCausalLMImpl final : public DecoderLanguageModelImpl {
 public:
  using DecoderLanguageModelImpl::DecoderLanguageModelImpl;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::llama
