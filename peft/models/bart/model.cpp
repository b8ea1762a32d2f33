#include "peft/models/bart/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <cmath>

#include "peft/base/error.h"
#include "peft/models/common/project.h"

namespace peft::bart {

BodyImpl::BodyImpl(const BartConfig& config, at::TensorOptions options)
    : scale_(config.scale_embedding ? std::sqrt(static_cast<double>(config.d_model)) : 1.0),
      padding_(config.pad_token_id.value_or(-1)) {
  shared = register_module("shared", make_embedding(config.vocab_size, config.d_model, options));
  encoder = register_module("encoder", Stack(config, false, options));
  decoder = register_module("decoder", Stack(config, true, options));
}

at::Tensor BodyImpl::embed(const at::Tensor& ids) const {
  const auto rows = at::embedding(shared->weight, ids, padding_);
  return scale_ == 1.0 ? rows : rows * scale_;
}

at::Tensor BodyImpl::encode(const EncoderInput& given, bool checkpointing) {
  check_one_input(given);
  const auto input = given.to(shared->weight.device());
  const auto x = input.input_ids.defined() ? embed(input.input_ids) : input.inputs_embeds;
  const StackContext context{.own = encoder_mask(input, x)};
  return encoder->forward(x, context, checkpointing && is_training());
}

at::Tensor BodyImpl::decode(const Seq2SeqInput& given, bool checkpointing) {
  check_decoder_input(given);
  const auto input = given.to(shared->weight.device());
  StackContext context{.states = input.encoder_states, .cache = input.cache};
  if (!context.states.defined() && !input.knows_source()) {
    context.states = encode(input.encoder, checkpointing);
  }
  const auto x = input.decoder_input_ids.defined() ? embed(input.decoder_input_ids)
                                                   : input.decoder_inputs_embeds;
  std::tie(context.own, context.source) = decoder_masks(input, context.states, x);
  return decoder->forward(x, context, checkpointing && is_training() && input.cache == nullptr);
}

ModelShape shape_of(const BartConfig& config) {
  return {.layers = config.encoder.layers,
          .heads = config.encoder.heads,
          .kv_heads = config.decoder.heads,
          .head_dim = config.d_model / config.decoder.heads,
          .hidden = config.d_model,
          .vocab = config.vocab_size};
}

BartForConditionalGenerationImpl::BartForConditionalGenerationImpl(const Json& config,
                                                                   at::TensorOptions options)
    : json_(config), config_(BartConfig::from_json(config)) {
  model = register_module("model", Body(config_, options));
  final_logits_bias =
      register_buffer("final_logits_bias", at::zeros({1, config_.vocab_size}, options));
  if (!config_.tie_word_embeddings) {
    lm_head = register_module("lm_head",
                              make_linear(config_.d_model, config_.vocab_size, false, options));
  }
}

at::Tensor BartForConditionalGenerationImpl::encode(const EncoderInput& input) {
  return model->encode(input, checkpointing_);
}

at::Tensor BartForConditionalGenerationImpl::decode(const Seq2SeqInput& input) {
  return model->decode(input, checkpointing_);
}

at::Tensor BartForConditionalGenerationImpl::head(const at::Tensor& hidden) {
  return project(hidden, head_weight()) + final_logits_bias;
}

at::Tensor BartForConditionalGenerationImpl::head_weight() const {
  return lm_head ? lm_head->weight : model->shared->weight;
}

void BartForConditionalGenerationImpl::untie_head(const at::Tensor& weight) {
  give_own_head(*this, lm_head, weight);
  json_["tie_word_embeddings"] = config_.tie_word_embeddings = false;
}

at::Tensor BartForConditionalGenerationImpl::shift_right(const at::Tensor& labels) const {
  return shift_tokens_right(labels, config_.pad_token_id, config_.decoder_start_token_id);
}

int64_t BartForConditionalGenerationImpl::decoder_start_token_id() const {
  return known_start_token(config_.decoder_start_token_id);
}

PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options) {
  switch (task) {
    case ModelTask::kSeq2SeqLM:
      return std::make_shared<BartForConditionalGenerationImpl>(config, options);
    case ModelTask::kSequenceClassification:
      return std::make_shared<BartForSequenceClassificationImpl>(config, options);
    default:
      return nullptr;
  }
}

}  // namespace peft::bart
