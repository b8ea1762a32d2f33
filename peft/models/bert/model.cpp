#include "peft/models/bert/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include "peft/models/common/growing_cache.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft::bert {

EmbeddingsImpl::EmbeddingsImpl(const BertConfig& config, at::TensorOptions options)
    : word_embeddings(nullptr),
      position_embeddings(nullptr),
      token_type_embeddings(nullptr),
      LayerNorm(nullptr),
      is_roberta_(config.is_roberta),
      padding_(config.pad_token_id.value_or(-1)),
      dropout_(config.hidden_dropout) {
  const auto hidden = config.hidden_size;
  word_embeddings =
      register_module("word_embeddings", make_embedding(config.vocab_size, hidden, options));
  position_embeddings = register_module(
      "position_embeddings", make_embedding(config.max_position_embeddings, hidden, options));
  token_type_embeddings = register_module("token_type_embeddings",
                                          make_embedding(config.type_vocab_size, hidden, options));
  LayerNorm = register_module("LayerNorm", make_layer_norm(hidden, config.layer_norm_eps, options));
}

at::Tensor EmbeddingsImpl::words(const at::Tensor& ids) const {
  return at::embedding(word_embeddings->weight, ids, padding_);
}

at::Tensor EmbeddingsImpl::positions(const EncoderInput& input, int64_t tokens) const {
  if (input.position_ids.defined()) return input.position_ids;
  const auto past = input.cache == nullptr ? 0 : input.cache->length();
  const auto known = position_embeddings->options.num_embeddings();
  if (is_roberta_ && input.input_ids.defined()) {
    const auto token = input.input_ids.ne(padding_).to(at::kLong);
    const auto counted = (token.cumsum(1) + past) * token + padding_;
    // The numbers are looked at only where they may be too large.
    const bool may_be_long = padding_ + past + tokens >= known;
    if (may_be_long) check_positions(counted.max().item<int64_t>() + 1, known);
    return counted;
  }
  // Where RoBERTa gets embeddings, which no padding can be told from, it does not count the cache.
  const auto first = is_roberta_ ? padding_ + 1 : past;
  check_positions(first + tokens, known);
  return at::arange(first, first + tokens, word_embeddings->weight.device()).unsqueeze(0);
}

at::Tensor EmbeddingsImpl::forward(const EncoderInput& input) {
  const auto embeds = input.input_ids.defined() ? words(input.input_ids) : input.inputs_embeds;
  // Without types all tokens are of the first, whose vector is looked up once.
  const auto types = input.token_type_ids.defined()
                         ? input.token_type_ids
                         : at::zeros({1, 1}, embeds.options().dtype(at::kLong));
  const auto position_ids = positions(input, embeds.size(1));
  const auto x =
      embeds + at::embedding(token_type_embeddings->weight, types) +
      at::embedding(position_embeddings->weight, position_ids, is_roberta_ ? padding_ : -1);
  return at::dropout(normalize(x, LayerNorm), dropout_, is_training());
}

PoolerImpl::PoolerImpl(const BertConfig& config, at::TensorOptions options) : dense(nullptr) {
  dense =
      register_module("dense", make_linear(config.hidden_size, config.hidden_size, true, options));
}

at::Tensor PoolerImpl::forward(const at::Tensor& hidden) {
  return at::tanh(project(hidden.select(1, 0), dense));
}

BertModelImpl::BertModelImpl(const Json& json, const BertConfig& config, bool with_pooler,
                             at::TensorOptions options)
    : json_(json), config_(config) {
  embeddings = register_module("embeddings", Embeddings(config_, options));
  encoder = register_module("encoder", Encoder(config_, options));
  if (with_pooler) pooler = register_module("pooler", Pooler(config_, options));
}

EncoderOutput BertModelImpl::forward(const EncoderInput& given) {
  check_one_input(given);
  const auto input = given.to(embeddings->word_embeddings->weight.device());
  const auto x = embeddings->forward(input);
  EncoderOutput output{.last_hidden_state = encoder->forward(x, make_encoder_context(input, x),
                                                             checkpointing_ && is_training())};
  if (pooler) output.pooler_output = pooler->forward(output.last_hidden_state);
  return output;
}

at::Tensor BertModelImpl::embed(const at::Tensor& ids) { return embeddings->words(ids); }

std::unique_ptr<KeyValueCache> BertModelImpl::new_cache() const {
  return std::make_unique<GrowingCache>(config_.num_hidden_layers);
}

ModelShape BertModelImpl::shape() const {
  return {.layers = config_.num_hidden_layers,
          .heads = config_.num_attention_heads,
          .kv_heads = config_.num_attention_heads,
          .head_dim = config_.hidden_size / config_.num_attention_heads,
          .hidden = config_.hidden_size,
          .vocab = config_.vocab_size};
}

BertForSequenceClassificationImpl::BertForSequenceClassificationImpl(const Json& json,
                                                                     const BertConfig& config,
                                                                     at::TensorOptions options)
    : EncoderTaskModelImpl(std::make_shared<BertModelImpl>(json, config, true, options),
                           ModelTask::kSequenceClassification, config.num_labels),
      classifier(nullptr),
      dropout_(config.classifier_dropout) {
  classifier =
      register_module("classifier", make_linear(shape().hidden, num_labels(), true, options));
}

at::Tensor BertForSequenceClassificationImpl::head(const EncoderOutput& output) {
  return project(at::dropout(output.pooler_output, dropout_, is_training()), classifier);
}

ClassificationHeadImpl::ClassificationHeadImpl(const BertConfig& config, at::TensorOptions options)
    : dense(nullptr), out_proj(nullptr), dropout_(config.classifier_dropout) {
  const auto hidden = config.hidden_size;
  dense = register_module("dense", make_linear(hidden, hidden, true, options));
  out_proj = register_module("out_proj", make_linear(hidden, config.num_labels, true, options));
}

at::Tensor ClassificationHeadImpl::forward(const at::Tensor& hidden) {
  const auto drop = [&](const at::Tensor& x) { return at::dropout(x, dropout_, is_training()); };
  return project(drop(at::tanh(project(drop(hidden.select(1, 0)), dense))), out_proj);
}

RobertaForSequenceClassificationImpl::RobertaForSequenceClassificationImpl(
    const Json& json, const BertConfig& config, at::TensorOptions options)
    : EncoderTaskModelImpl(std::make_shared<BertModelImpl>(json, config, false, options),
                           ModelTask::kSequenceClassification, config.num_labels),
      classifier(nullptr) {
  classifier = register_module("classifier", ClassificationHead(config, options));
}

at::Tensor RobertaForSequenceClassificationImpl::head(const EncoderOutput& output) {
  return classifier->forward(output.last_hidden_state);
}

PretrainedModel make_model(const Json& json, ModelTask task, at::TensorOptions options) {
  const auto config = BertConfig::from_json(json);
  const auto with_token_head = [&](double dropout) {
    return std::make_shared<TokenHeadModelImpl>(
        std::make_shared<BertModelImpl>(json, config, false, options), task, config.num_labels,
        dropout, options);
  };
  switch (task) {
    case ModelTask::kBody:
      return std::make_shared<BertModelImpl>(json, config, true, options);
    case ModelTask::kSequenceClassification:
      if (config.is_roberta) {
        return std::make_shared<RobertaForSequenceClassificationImpl>(json, config, options);
      }
      return std::make_shared<BertForSequenceClassificationImpl>(json, config, options);
    case ModelTask::kTokenClassification:
      return with_token_head(config.classifier_dropout);
    case ModelTask::kQuestionAnswering:
      return with_token_head(0.0);
    default:
      return nullptr;
  }
}

}  // namespace peft::bert
