#include "peft/models/t5/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cmath>

#include "peft/models/common/load_weights.h"
#include "peft/models/common/project.h"

namespace peft::t5 {

T5ForConditionalGenerationImpl::T5ForConditionalGenerationImpl(const Json& config,
                                                               at::TensorOptions options)
    : json_(config), config_(T5Config::from_json(config)) {
  shared = register_module("shared", make_embedding(config_.vocab_size, config_.d_model, options));
  encoder = register_module("encoder", Stack(config_, false, options));
  decoder = register_module("decoder", Stack(config_, true, options));
  if (config_.own_head) {
    lm_head = register_module("lm_head",
                              make_linear(config_.d_model, config_.vocab_size, false, options));
  }
}

at::Tensor T5ForConditionalGenerationImpl::encode(const EncoderInput& given) {
  check_one_input(given);
  const auto input = given.to(shared->weight.device());
  const auto x = input.input_ids.defined() ? embed(input.input_ids) : input.inputs_embeds;
  const StackContext context{.own = encoder_mask(input, x)};
  return encoder->forward(x, context, checkpointing_ && is_training());
}

at::Tensor T5ForConditionalGenerationImpl::decode(const Seq2SeqInput& given) {
  check_decoder_input(given);
  const auto input = given.to(shared->weight.device());
  StackContext context{.states = input.encoder_states, .cache = input.cache};
  if (!context.states.defined() && !input.knows_source()) context.states = encode(input.encoder);
  const auto x = input.decoder_input_ids.defined() ? embed(input.decoder_input_ids)
                                                   : input.decoder_inputs_embeds;
  std::tie(context.own, context.source) = decoder_masks(input, context.states, x);
  const bool recompute = checkpointing_ && is_training() && input.cache == nullptr;
  const auto hidden = decoder->forward(x, context, recompute);
  if (!config_.scale_decoder_outputs) return hidden;
  return hidden * std::pow(static_cast<double>(config_.d_model), -0.5);
}

at::Tensor T5ForConditionalGenerationImpl::head(const at::Tensor& hidden) {
  return project(hidden, head_weight());
}

at::Tensor T5ForConditionalGenerationImpl::head_weight() const {
  return lm_head ? lm_head->weight : shared->weight;
}

void T5ForConditionalGenerationImpl::untie_head(const at::Tensor& weight) {
  give_own_head(*this, lm_head, weight);
  // That the head was the embedding is what the scale goes by, so it has to be kept.
  json_["scale_decoder_outputs"] = config_.scale_decoder_outputs;
  json_["tie_word_embeddings"] = false;
}

bool T5ForConditionalGenerationImpl::may_ignore(const std::string& key) const {
  return Seq2SeqModelImpl::may_ignore(key) ||
         key == "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
}

void T5ForConditionalGenerationImpl::meet(const WeightSource& checkpoint) {
  const auto has = [&](const std::string& name) {
    return std::any_of(checkpoint.entries.begin(), checkpoint.entries.end(),
                       [&](const auto& entry) { return entry.name == name; });
  };
  const std::string head = "lm_head.weight", embedding = "shared.weight";
  if (!has(head)) {
    if (lm_head) unregister_module("lm_head");
    lm_head = nullptr;
  } else if (!lm_head && has(embedding)) {
    const auto dtype = shared->weight.scalar_type();
    const auto own = checkpoint.read(head, dtype);
    if (!own.equal(checkpoint.read(embedding, dtype))) {
      give_own_head(*this, lm_head, at::empty_like(shared->weight));
    }
  }
}

at::Tensor T5ForConditionalGenerationImpl::embed(const at::Tensor& ids) {
  return at::embedding(shared->weight, ids);
}

at::Tensor T5ForConditionalGenerationImpl::shift_right(const at::Tensor& labels) const {
  return shift_tokens_right(labels, config_.pad_token_id, config_.decoder_start_token_id);
}

int64_t T5ForConditionalGenerationImpl::decoder_start_token_id() const {
  return known_start_token(config_.decoder_start_token_id);
}

ModelShape T5ForConditionalGenerationImpl::shape() const {
  return {.layers = config_.num_layers,
          .heads = config_.num_heads,
          .kv_heads = config_.num_heads,
          .head_dim = config_.d_kv,
          .hidden = config_.d_model,
          .vocab = config_.vocab_size};
}

PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options) {
  if (task != ModelTask::kSeq2SeqLM) return nullptr;
  return std::make_shared<T5ForConditionalGenerationImpl>(config, options);
}

}  // namespace peft::t5
