#pragma once

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>

#include <memory>
#include <vector>

#include "peft/models/bart/config.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/seq2seq_language_model.h"

namespace peft::bart {

/// One layer of the encoder or of the decoder, with norms behind the sums.
/// Source: transformers/models/bart/modeling_bart.py, BartEncoderLayer and BartDecoderLayer.
class LayerImpl : public torch::nn::Module {
 public:
  LayerImpl(const BartConfig& config, bool decodes, int64_t number, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const Seq2SeqContext& context);

  std::shared_ptr<Seq2SeqAttentionImpl> self_attn, encoder_attn;  // the latter null in an encoder
  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
  torch::nn::LayerNorm self_attn_layer_norm{nullptr}, encoder_attn_layer_norm{nullptr},
      final_layer_norm{nullptr};

 private:
  at::Tensor dense(const at::Tensor& x);

  Activation activation_;
  double dropout_, activation_dropout_;
};
TORCH_MODULE(Layer);

/// The encoder or the decoder.
class StackImpl final : public Seq2SeqStackImpl {
 public:
  StackImpl(const BartConfig& config, bool decodes, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& embedded, const Seq2SeqContext& context,
                     bool recompute) override;

  torch::nn::Embedding embed_positions{nullptr};
  torch::nn::ModuleList layers;
  torch::nn::LayerNorm layernorm_embedding{nullptr};

 private:
  at::Tensor positions(int64_t tokens, int64_t past) const;
  bool leaves_out() const;

  std::vector<Layer> layers_;
  double dropout_, layerdrop_;
};

/// BART without a head: `model` in the keys of the others.
class BartModelImpl final : public Seq2SeqBodyImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  BartModelImpl(const Json& json, const BartConfig& config, at::TensorOptions options);

  /// Also numbers of versions in old files.
  bool may_ignore(const std::string& key) const override;
};

/// BART as a sequence-to-sequence model.
class BartForConditionalGenerationImpl final : public Seq2SeqLanguageModelImpl {
 public:
  BartForConditionalGenerationImpl(Seq2SeqBody body, bool tied, at::TensorOptions options);

  at::Tensor head(const at::Tensor& hidden) override;
  at::Tensor head_bias() const override { return final_logits_bias; }

  at::Tensor final_logits_bias;  // [1, V], a buffer; zero in all published models
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::bart
