#pragma once

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "peft/models/common/decoder_language_model.h"
#include "peft/models/opt/config.h"

namespace peft::opt {

/// `self_attn` of a layer.
/// Source: transformers/models/opt/modeling_opt.py, OPTAttention.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const OPTConfig& config, int64_t index, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context);

  torch::nn::Linear k_proj, v_proj, q_proj, out_proj;

 private:
  int64_t layer_, heads_;
  double scale_, dropout_;
};
TORCH_MODULE(Attention);

/// One layer: `layers.<number>`.
class BlockImpl final : public DecoderBlockImpl {
 public:
  BlockImpl(const OPTConfig& config, int64_t index, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const DecoderContext& context) override;

  Attention self_attn;
  torch::nn::LayerNorm self_attn_layer_norm, final_layer_norm;
  torch::nn::Linear fc1, fc2;

 private:
  Activation activation_;
  double dropout_;
  bool norm_first_;
};

/// All parts of an OPTModel: `decoder`.
class DecoderImpl : public torch::nn::Module {
 public:
  DecoderImpl(const OPTConfig& config, at::TensorOptions options);

  torch::nn::Embedding embed_tokens, embed_positions;
  // Empty where nothing is projected, or where there is no norm.
  torch::nn::Linear project_out{nullptr}, project_in{nullptr};
  torch::nn::LayerNorm final_layer_norm{nullptr};
};
TORCH_MODULE(Decoder);

/// OPT without a head: `model` in the keys of a language model.
class OPTModelImpl final : public DecoderModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  OPTModelImpl(const Json& config, at::TensorOptions options);

  const at::Tensor& embedding_weight() const override { return decoder_->embed_tokens->weight; }
  ModelShape shape() const override;

 protected:
  /// Positions count the tokens that the mask shows.
  at::Tensor before_blocks(const at::Tensor& embeds, const LanguageModelInput& input) override;
  at::Tensor after_blocks(const at::Tensor& x) override;
  DecoderContext make_context(const LanguageModelInput& input,
                              const at::Tensor& embeds) const override;
  bool drops_layer() const override;

 private:
  OPTConfig config_;
  Decoder decoder_;
};

/// OPT as a language model.
class OPTForCausalLMImpl final : public DecoderLanguageModelImpl {
 public:
  using DecoderLanguageModelImpl::DecoderLanguageModelImpl;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::opt
