#pragma once

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/normalization.h>

#include <string>
#include <vector>

#include "peft/models/common/encoder_blocks.h"
#include "peft/models/common/encoder_task_model.h"
#include "peft/models/distilbert/config.h"

/// Source: transformers/models/distilbert/modeling_distilbert.py.
namespace peft::distilbert {

/// Vectors of words and positions, added and normed: `embeddings`.
class EmbeddingsImpl : public torch::nn::Module {
 public:
  EmbeddingsImpl(const DistilBertConfig& config, at::TensorOptions options);
  at::Tensor words(const at::Tensor& ids) const;
  at::Tensor forward(const EncoderInput& input);

  torch::nn::Embedding word_embeddings, position_embeddings;
  torch::nn::LayerNorm LayerNorm;  // NOLINT(readability-identifier-naming): the checkpoint's name

 private:
  int64_t padding_;  // -1: none
  double dropout_;
};
TORCH_MODULE(Embeddings);

/// `attention` of a block.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const DistilBertConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const EncoderContext& context);

  torch::nn::Linear q_lin, k_lin, v_lin, out_lin;

 private:
  int64_t heads_;
  double dropout_;
};
TORCH_MODULE(Attention);

/// `ffn` of a block.
class FeedForwardImpl : public torch::nn::Module {
 public:
  FeedForwardImpl(const DistilBertConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Linear lin1, lin2;

 private:
  Activation activation_;
  double dropout_;
};
TORCH_MODULE(FeedForward);

/// One layer of the encoder.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const DistilBertConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const EncoderContext& context);

  Attention attention;
  torch::nn::LayerNorm sa_layer_norm;
  FeedForward ffn;
  torch::nn::LayerNorm output_layer_norm;
};
TORCH_MODULE(Block);

/// All layers: `transformer`.
class TransformerImpl : public torch::nn::Module {
 public:
  TransformerImpl(const DistilBertConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const EncoderContext& context, bool recompute);

  torch::nn::ModuleList layer;

 private:
  std::vector<Block> blocks_;
};
TORCH_MODULE(Transformer);

/// DistilBERT without a head. It knows no token types, has no pooler and takes no cache.
class DistilBertModelImpl : public EncoderModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights. Sinusoidal positions are.
  DistilBertModelImpl(const Json& json, const DistilBertConfig& config, at::TensorOptions options);

  /// Throws also: UnsupportedError where token types or a cache are given.
  EncoderOutput forward(const EncoderInput& input) override;
  at::Tensor embed(const at::Tensor& ids) override;
  ModelShape shape() const override;
  std::string base_model_prefix() const override { return "distilbert"; }
  const Json& config() const override { return json_; }
  bool may_ignore(const std::string& key) const override { return is_position_buffer(key); }
  void set_gradient_checkpointing(bool on) override { checkpointing_ = on; }
  bool is_gradient_checkpointing() const override { return checkpointing_; }

  Embeddings embeddings{nullptr};
  Transformer transformer{nullptr};

 private:
  Json json_;
  DistilBertConfig config_;
  bool checkpointing_ = false;
};

/// DistilBERT for classes of sequences: a layer over the first token, and one for the labels.
class DistilBertForSequenceClassificationImpl : public EncoderTaskModelImpl {
 public:
  DistilBertForSequenceClassificationImpl(const Json& json, const DistilBertConfig& config,
                                          at::TensorOptions options);

  torch::nn::Linear pre_classifier, classifier;

 protected:
  at::Tensor head(const EncoderOutput& output) override;

 private:
  double dropout_;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::distilbert
