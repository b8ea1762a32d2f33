#pragma once

#include <torch/nn/modules/container/modulelist.h>

#include <memory>
#include <vector>

#include "peft/models/common/attention.h"
#include "peft/models/common/language_model.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/rms_norm.h"
#include "peft/models/llama/config.h"
#include "peft/tensor/attention_addition.h"

namespace peft::llama {

/// What all blocks of one forward share.
struct BlockContext {
  RotaryAngles angles = {};
  AttentionMask full = {}, sliding = {};
  KeyValueCache* cache = nullptr;
};

/// Grouped-query attention with rotary positions: `self_attn` of a block.
/// Source: transformers/models/llama/modeling_llama.py, LlamaAttention.
class AttentionImpl : public torch::nn::Module, public TakesAttentionAddition {
 public:
  AttentionImpl(const LlamaConfig& config, int64_t layer, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const BlockContext& context);

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
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const LlamaConfig& config, int64_t layer, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const BlockContext& context);

  Attention self_attn;
  Mlp mlp;
  RmsNorm input_layernorm, post_attention_layernorm;
};
TORCH_MODULE(Block);

/// Everything below the head: `model` in the checkpoint's keys.
class BodyImpl : public torch::nn::Module {
 public:
  BodyImpl(const LlamaConfig& config, at::TensorOptions options);

  torch::nn::Embedding embed_tokens;
  torch::nn::ModuleList layers;
  RmsNorm norm;
};
TORCH_MODULE(Body);

/// Llama and its kin as a language model.
class LlamaForCausalLMImpl : public LanguageModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  LlamaForCausalLMImpl(const Json& config, at::TensorOptions options);

  at::Tensor hidden_states(const LanguageModelInput& input) override;
  at::Tensor head(const at::Tensor& hidden) override;
  at::Tensor head_weight() const override;
  void untie_head(const at::Tensor& weight) override;
  at::Tensor embed(const at::Tensor& ids) override;
  std::unique_ptr<KeyValueCache> new_cache() const override;
  ModelShape shape() const override;
  std::string base_model_prefix() const override { return "model"; }
  const Json& config() const override { return json_; }
  void set_gradient_checkpointing(bool on) override { checkpointing_ = on; }
  bool is_gradient_checkpointing() const override { return checkpointing_; }
  std::function<void()> replicate_layers(const LayerRanges& ranges) override;

  Body model{nullptr};
  torch::nn::Linear lm_head{nullptr};  // empty where the head is the embedding

 private:
  /// The blocks with what the configs say of them.
  struct Stack {
    torch::nn::ModuleList layers;
    std::vector<Block> blocks;
    LlamaConfig config;
    Json json;
  };
  void use(const Stack& stack);
  BlockContext make_context(const LanguageModelInput& input, const at::Tensor& embedded) const;

  Json json_;
  LlamaConfig config_;
  RotaryEmbedding rotary_;
  std::vector<Block> blocks_;
  bool checkpointing_ = false;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::llama
