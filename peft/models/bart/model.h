#pragma once

#include <torch/nn/modules/container/modulelist.h>

#include <vector>

#include "peft/models/bart/config.h"
#include "peft/models/common/attention.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/seq2seq_model.h"

namespace peft::bart {

/// What all layers of one forward of a stack share.
struct StackContext {
  AttentionMask own = {};     // of its own tokens
  AttentionMask source = {};  // of the encoder's states
  at::Tensor states = {};     // [B, S, hidden]: of the encoder; undefined: in the cache, or none
  Seq2SeqCache* cache = nullptr;
};

/// Multi-head attention to its own tokens or to an encoder's states: `self_attn` and
/// `encoder_attn` of a layer.
/// Source: transformers/models/bart/modeling_bart.py, BartAttention.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const BartConfig& config, const StackConfig& stack, int64_t layer,
                at::TensorOptions options);
  at::Tensor to_itself(const at::Tensor& x, const StackContext& context);
  at::Tensor to_source(const at::Tensor& x, const StackContext& context);

  torch::nn::Linear k_proj{nullptr}, v_proj{nullptr}, q_proj{nullptr}, out_proj{nullptr};

 private:
  at::Tensor heads(const at::Tensor& x, const torch::nn::Linear& layer) const;
  at::Tensor attend_with(const at::Tensor& x, const std::pair<at::Tensor, at::Tensor>& keys,
                         const AttentionMask& mask);

  int64_t layer_, width_;
  double dropout_;
};
TORCH_MODULE(Attention);

/// One layer of the encoder or of the decoder, with norms behind the sums.
class LayerImpl : public torch::nn::Module {
 public:
  LayerImpl(const BartConfig& config, bool decodes, int64_t number, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const StackContext& context);

  Attention self_attn{nullptr}, encoder_attn{nullptr};
  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
  torch::nn::LayerNorm self_attn_layer_norm{nullptr}, encoder_attn_layer_norm{nullptr},
      final_layer_norm{nullptr};

 private:
  at::Tensor dense(const at::Tensor& x);

  Activation activation_;
  double dropout_, activation_dropout_;
};
TORCH_MODULE(Layer);

/// The encoder or the decoder without its embedding of tokens, which both share.
class StackImpl : public torch::nn::Module {
 public:
  StackImpl(const BartConfig& config, bool decodes, at::TensorOptions options);

  ///   embedded [B, T, hidden] -> [B, T, hidden]
  /// Throws: ConfigError for more tokens than the model has positions for.
  at::Tensor forward(const at::Tensor& embedded, const StackContext& context, bool recompute);

  torch::nn::Embedding embed_positions{nullptr};
  torch::nn::ModuleList layers;
  torch::nn::LayerNorm layernorm_embedding{nullptr};

 private:
  at::Tensor positions(int64_t tokens, int64_t past) const;
  bool leaves_out() const;

  std::vector<Layer> layers_;
  double dropout_, layerdrop_;
};
TORCH_MODULE(Stack);

/// Everything below the heads: `model` in the checkpoint's keys.
class BodyImpl : public torch::nn::Module {
 public:
  BodyImpl(const BartConfig& config, at::TensorOptions options);
  at::Tensor embed(const at::Tensor& ids) const;
  at::Tensor encode(const EncoderInput& input, bool checkpointing);
  at::Tensor decode(const Seq2SeqInput& input, bool checkpointing);

  torch::nn::Embedding shared{nullptr};
  Stack encoder{nullptr}, decoder{nullptr};

 private:
  double scale_;
  int64_t padding_;  // its row gets no gradient; -1: none
};
TORCH_MODULE(Body);

/// The sizes that both models tell.
ModelShape shape_of(const BartConfig& config);

/// BART as a sequence-to-sequence model.
class BartForConditionalGenerationImpl : public Seq2SeqModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  BartForConditionalGenerationImpl(const Json& config, at::TensorOptions options);

  at::Tensor encode(const EncoderInput& input) override;
  at::Tensor decode(const Seq2SeqInput& input) override;
  at::Tensor head(const at::Tensor& hidden) override;
  at::Tensor head_bias() const override { return final_logits_bias; }
  at::Tensor head_weight() const override;
  void untie_head(const at::Tensor& weight) override;
  at::Tensor embed(const at::Tensor& ids) override { return model->embed(ids); }
  at::Tensor shift_right(const at::Tensor& labels) const override;
  int64_t decoder_start_token_id() const override;
  int64_t decoder_layers() const override { return config_.decoder.layers; }
  ModelShape shape() const override { return shape_of(config_); }
  std::string base_model_prefix() const override { return "model"; }
  const Json& config() const override { return json_; }
  void set_gradient_checkpointing(bool on) override { checkpointing_ = on; }
  bool is_gradient_checkpointing() const override { return checkpointing_; }

  Body model{nullptr};
  torch::nn::Linear lm_head{nullptr};  // empty where the head is the embedding
  at::Tensor final_logits_bias;        // [1, V], a buffer; zero in all published models

 private:
  Json json_;
  BartConfig config_;
  bool checkpointing_ = false;
};

/// `classification_head`: two layers on the state of the last end token.
class ClassificationHeadImpl : public torch::nn::Module {
 public:
  ClassificationHeadImpl(const BartConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Linear dense{nullptr}, out_proj{nullptr};

 private:
  double dropout_;
};
TORCH_MODULE(ClassificationHead);

/// BART with a head for classes of rows: the decoder reads the source again, shifted.
/// Source: transformers/models/bart/modeling_bart.py, BartForSequenceClassification.
class BartForSequenceClassificationImpl : public TaskModelImpl {
 public:
  BartForSequenceClassificationImpl(const Json& config, at::TensorOptions options);

  ModelTask task() const override { return ModelTask::kSequenceClassification; }
  int64_t num_labels() const override { return config_.num_labels; }
  /// Throws: UnsupportedError where embeddings are given: end tokens are looked for in the ids;
  /// ConfigError where rows have different numbers of end tokens, or none.
  at::Tensor forward(const EncoderInput& input) override;
  at::Tensor embed(const at::Tensor& ids) override { return model->embed(ids); }
  ModelShape shape() const override { return shape_of(config_); }
  std::string base_model_prefix() const override { return "model"; }
  const Json& config() const override { return json_; }
  void set_gradient_checkpointing(bool on) override { checkpointing_ = on; }
  bool is_gradient_checkpointing() const override { return checkpointing_; }

  Body model{nullptr};
  ClassificationHead classification_head{nullptr};

 private:
  Json json_;
  BartConfig config_;
  bool checkpointing_ = false;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::bart
