#pragma once

#include <torch/nn/modules/embedding.h>

#include <memory>
#include <string>

#include "peft/models/bert/block.h"
#include "peft/models/common/encoder_task_model.h"

namespace peft::bert {

/// Vectors of words, token types and positions, added and normed: `embeddings`.
/// Source: transformers/models/bert/modeling_bert.py, BertEmbeddings; RobertaEmbeddings.
class EmbeddingsImpl : public torch::nn::Module {
 public:
  EmbeddingsImpl(const BertConfig& config, at::TensorOptions options);
  at::Tensor words(const at::Tensor& ids) const;
  at::Tensor forward(const EncoderInput& input);

  torch::nn::Embedding word_embeddings, position_embeddings, token_type_embeddings;
  torch::nn::LayerNorm LayerNorm;  // NOLINT(readability-identifier-naming): the checkpoint's name

 private:
  at::Tensor positions(const EncoderInput& input, int64_t tokens) const;

  bool is_roberta_;
  int64_t padding_;  // -1: none
  double dropout_;
};
TORCH_MODULE(Embeddings);

/// tanh(dense(x)) of each row's first token: `pooler`.
class PoolerImpl : public torch::nn::Module {
 public:
  PoolerImpl(const BertConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& hidden);

  torch::nn::Linear dense;
};
TORCH_MODULE(Pooler);

/// BERT, RoBERTa and their kin without a head.
class BertModelImpl : public EncoderModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  BertModelImpl(const Json& json, const BertConfig& config, bool with_pooler,
                at::TensorOptions options);

  EncoderOutput forward(const EncoderInput& input) override;
  at::Tensor embed(const at::Tensor& ids) override;
  std::unique_ptr<KeyValueCache> new_cache() const override;
  ModelShape shape() const override;
  std::string base_model_prefix() const override { return config_.is_roberta ? "roberta" : "bert"; }
  const Json& config() const override { return json_; }
  bool may_ignore(const std::string& key) const override { return is_position_buffer(key); }
  void set_gradient_checkpointing(bool on) override { checkpointing_ = on; }
  bool is_gradient_checkpointing() const override { return checkpointing_; }

  Embeddings embeddings{nullptr};
  Encoder encoder{nullptr};
  Pooler pooler{nullptr};  // empty where the model has none

 private:
  Json json_;
  BertConfig config_;
  bool checkpointing_ = false;
};

/// BERT for classes of sequences: `classifier` over the pooler.
class BertForSequenceClassificationImpl : public EncoderTaskModelImpl {
 public:
  BertForSequenceClassificationImpl(const Json& json, const BertConfig& config,
                                    at::TensorOptions options);

  torch::nn::Linear classifier;

 protected:
  at::Tensor head(const EncoderOutput& output) override;

 private:
  double dropout_;
};

/// `classifier` of RoBERTa: a layer over the first token, and one for the labels.
/// Source: RobertaClassificationHead.
class ClassificationHeadImpl : public torch::nn::Module {
 public:
  ClassificationHeadImpl(const BertConfig& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& hidden);

  torch::nn::Linear dense, out_proj;

 private:
  double dropout_;
};
TORCH_MODULE(ClassificationHead);

/// RoBERTa for classes of sequences.
class RobertaForSequenceClassificationImpl : public EncoderTaskModelImpl {
 public:
  RobertaForSequenceClassificationImpl(const Json& json, const BertConfig& config,
                                       at::TensorOptions options);

  ClassificationHead classifier;

 protected:
  at::Tensor head(const EncoderOutput& output) override;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::bert
