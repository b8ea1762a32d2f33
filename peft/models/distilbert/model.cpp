#include "peft/models/distilbert/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include "peft/base/error.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft::distilbert {
namespace {

constexpr double kNormEps = 1e-12;  // no setting of the model

// [positions, width]: sines in the even columns, cosines in the odd ones.
at::Tensor sinusoids(int64_t positions, int64_t width) {
  const auto position = at::arange(positions, at::kDouble).unsqueeze(1);
  const auto column = at::arange(width, at::kDouble);
  const auto exponent = 2 * at::floor(column / 2) / static_cast<double>(width);
  const auto angle = position / at::pow(10000.0, exponent);
  return at::where(column.remainder(2).eq(0), angle.sin(), angle.cos());
}

}  // namespace

EmbeddingsImpl::EmbeddingsImpl(const DistilBertConfig& config, at::TensorOptions options)
    : word_embeddings(nullptr),
      position_embeddings(nullptr),
      LayerNorm(nullptr),
      padding_(config.pad_token_id.value_or(-1)),
      dropout_(config.dropout) {
  const auto positions = config.max_position_embeddings, hidden = config.hidden_size;
  word_embeddings =
      register_module("word_embeddings", make_embedding(config.vocab_size, hidden, options));
  position_embeddings =
      register_module("position_embeddings", make_embedding(positions, hidden, options));
  if (config.sinusoidal_positions) {
    position_embeddings->weight.set_data(sinusoids(positions, hidden).to(options));
  }
  LayerNorm = register_module("LayerNorm", make_layer_norm(hidden, kNormEps, options));
}

at::Tensor EmbeddingsImpl::words(const at::Tensor& ids) const {
  return at::embedding(word_embeddings->weight, ids, padding_);
}

at::Tensor EmbeddingsImpl::forward(const EncoderInput& input) {
  const auto embeds = input.input_ids.defined() ? words(input.input_ids) : input.inputs_embeds;
  auto positions = input.position_ids;
  if (!positions.defined()) {
    check_positions(embeds.size(1), position_embeddings->options.num_embeddings());
    positions = at::arange(embeds.size(1), embeds.device()).unsqueeze(0);
  }
  const auto x = embeds + at::embedding(position_embeddings->weight, positions);
  return at::dropout(normalize(x, LayerNorm), dropout_, is_training());
}

AttentionImpl::AttentionImpl(const DistilBertConfig& config, at::TensorOptions options)
    : q_lin(nullptr),
      k_lin(nullptr),
      v_lin(nullptr),
      out_lin(nullptr),
      heads_(config.num_attention_heads),
      dropout_(config.attention_dropout) {
  const auto hidden = config.hidden_size;
  q_lin = register_module("q_lin", make_linear(hidden, hidden, true, options));
  k_lin = register_module("k_lin", make_linear(hidden, hidden, true, options));
  v_lin = register_module("v_lin", make_linear(hidden, hidden, true, options));
  out_lin = register_module("out_lin", make_linear(hidden, hidden, true, options));
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const EncoderContext& context) {
  const auto attended = attend_to_all(x,
                                      {.query = q_lin,
                                       .key = k_lin,
                                       .value = v_lin,
                                       .heads = heads_,
                                       .dropout = is_training() ? dropout_ : 0.0},
                                      context);
  return project(attended, out_lin);
}

FeedForwardImpl::FeedForwardImpl(const DistilBertConfig& config, at::TensorOptions options)
    : lin1(nullptr), lin2(nullptr), activation_(config.activation), dropout_(config.dropout) {
  const auto hidden = config.hidden_size, inner = config.intermediate_size;
  lin1 = register_module("lin1", make_linear(hidden, inner, true, options));
  lin2 = register_module("lin2", make_linear(inner, hidden, true, options));
}

at::Tensor FeedForwardImpl::forward(const at::Tensor& x) {
  return at::dropout(feed_forward(x, lin1, activation_, lin2), dropout_, is_training());
}

BlockImpl::BlockImpl(const DistilBertConfig& config, at::TensorOptions options)
    : attention(nullptr), sa_layer_norm(nullptr), ffn(nullptr), output_layer_norm(nullptr) {
  const auto hidden = config.hidden_size;
  attention = register_module("attention", Attention(config, options));
  sa_layer_norm = register_module("sa_layer_norm", make_layer_norm(hidden, kNormEps, options));
  ffn = register_module("ffn", FeedForward(config, options));
  output_layer_norm =
      register_module("output_layer_norm", make_layer_norm(hidden, kNormEps, options));
}

at::Tensor BlockImpl::forward(const at::Tensor& x, const EncoderContext& context) {
  const auto attended = normalize(attention->forward(x, context) + x, sa_layer_norm);
  return normalize(ffn->forward(attended) + attended, output_layer_norm);
}

TransformerImpl::TransformerImpl(const DistilBertConfig& config, at::TensorOptions options) {
  layer = register_module("layer", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    blocks_.emplace_back(config, options);
    layer->push_back(blocks_.back());
  }
}

at::Tensor TransformerImpl::forward(const at::Tensor& x, const EncoderContext& context,
                                    bool recompute) {
  return run_blocks(x, blocks_, context, recompute);
}

DistilBertModelImpl::DistilBertModelImpl(const Json& json, const DistilBertConfig& config,
                                         at::TensorOptions options)
    : json_(json), config_(config) {
  embeddings = register_module("embeddings", Embeddings(config, options));
  transformer = register_module("transformer", Transformer(config, options));
}

EncoderOutput DistilBertModelImpl::forward(const EncoderInput& given) {
  check_one_input(given);
  if (given.token_type_ids.defined() || given.cache != nullptr) {
    throw UnsupportedError(
        "distilbert: expected input without token types and cache, got some. Leave them out, or "
        "choose a model that has them, as bert.");
  }
  const auto input = given.to(embeddings->word_embeddings->weight.device());
  const auto x = embeddings->forward(input);
  return {.last_hidden_state = transformer->forward(x, make_encoder_context(input, x),
                                                    checkpointing_ && is_training())};
}

at::Tensor DistilBertModelImpl::embed(const at::Tensor& ids) { return embeddings->words(ids); }

ModelShape DistilBertModelImpl::shape() const {
  return {.layers = config_.num_hidden_layers,
          .heads = config_.num_attention_heads,
          .kv_heads = config_.num_attention_heads,
          .head_dim = config_.hidden_size / config_.num_attention_heads,
          .hidden = config_.hidden_size,
          .vocab = config_.vocab_size};
}

DistilBertForSequenceClassificationImpl::DistilBertForSequenceClassificationImpl(
    const Json& json, const DistilBertConfig& config, at::TensorOptions options)
    : EncoderTaskModelImpl(std::make_shared<DistilBertModelImpl>(json, config, options),
                           ModelTask::kSequenceClassification, config.num_labels),
      pre_classifier(nullptr),
      classifier(nullptr),
      dropout_(config.classifier_dropout) {
  const auto hidden = config.hidden_size;
  pre_classifier = register_module("pre_classifier", make_linear(hidden, hidden, true, options));
  classifier = register_module("classifier", make_linear(hidden, config.num_labels, true, options));
}

at::Tensor DistilBertForSequenceClassificationImpl::head(const EncoderOutput& output) {
  const auto pooled = at::relu(project(output.last_hidden_state.select(1, 0), pre_classifier));
  return project(at::dropout(pooled, dropout_, is_training()), classifier);
}

PretrainedModel make_model(const Json& json, ModelTask task, at::TensorOptions options) {
  const auto config = DistilBertConfig::from_json(json);
  const auto with_token_head = [&](double dropout) {
    return std::make_shared<TokenHeadModelImpl>(
        std::make_shared<DistilBertModelImpl>(json, config, options), task, config.num_labels,
        dropout, options);
  };
  switch (task) {
    case ModelTask::kBody:
      return std::make_shared<DistilBertModelImpl>(json, config, options);
    case ModelTask::kSequenceClassification:
      return std::make_shared<DistilBertForSequenceClassificationImpl>(json, config, options);
    case ModelTask::kTokenClassification:
      return with_token_head(config.dropout);
    case ModelTask::kQuestionAnswering:
      return with_token_head(config.qa_dropout);
    default:
      return nullptr;
  }
}

}  // namespace peft::distilbert
