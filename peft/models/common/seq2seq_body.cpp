#include "peft/models/common/seq2seq_body.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <tuple>
#include <utility>

#include "peft/base/error.h"

namespace peft {

Seq2SeqBodyImpl::Seq2SeqBodyImpl(Json config, Facts facts, Parts parts)
    : json_(std::move(config)), facts_(std::move(facts)), parts_(std::move(parts)) {
  register_parts(*this);
}

void Seq2SeqBodyImpl::register_parts(torch::nn::Module& owner) const {
  owner.register_module("shared", parts_.shared);
  owner.register_module("encoder", parts_.encoder);
  if (parts_.decoder) owner.register_module("decoder", parts_.decoder);
}

// Its parts may be another model's, which alone is told of training.
bool Seq2SeqBodyImpl::recomputes() const { return checkpointing_ && parts_.encoder->is_training(); }

at::Tensor Seq2SeqBodyImpl::embed(const at::Tensor& ids) {
  const auto rows = at::embedding(parts_.shared->weight, ids, facts_.padding_row);
  return facts_.embedding_scale == 1.0 ? rows : rows * facts_.embedding_scale;
}

at::Tensor Seq2SeqBodyImpl::encode(const EncoderInput& given) {
  check_one_input(given);
  const auto input = given.to(parts_.shared->weight.device());
  const auto x = input.input_ids.defined() ? embed(input.input_ids) : input.inputs_embeds;
  return parts_.encoder->forward(x, {.own = encoder_mask(input, x)}, recomputes());
}

at::Tensor Seq2SeqBodyImpl::decode(const Seq2SeqInput& given) {
  check_one_of(given.decoder_input_ids, given.decoder_inputs_embeds,
               "decoder: decoder_input_ids and decoder_inputs_embeds");
  const auto input = given.to(parts_.shared->weight.device());
  Seq2SeqContext context{.states = input.encoder_states, .cache = input.cache};
  if (!context.states.defined() && !input.knows_source()) context.states = encode(input.encoder);
  const auto x = input.decoder_input_ids.defined() ? embed(input.decoder_input_ids)
                                                   : input.decoder_inputs_embeds;
  std::tie(context.own, context.source) = decoder_masks(input, context.states, x);
  return parts_.decoder->forward(x, context, recomputes() && input.cache == nullptr);
}

EncoderOutput Seq2SeqBodyImpl::forward(const EncoderInput& given) {
  if (!parts_.decoder) return {.last_hidden_state = encode(given)};
  check_one_of(given.input_ids, given.inputs_embeds, "encoder: input_ids and inputs_embeds");
  auto source = facts_.makes_target ? with_target(given) : given;
  if (!source.decoder_input_ids.defined() && !source.decoder_inputs_embeds.defined()) {
    throw ConfigError(
        "decoder: expected decoder_input_ids or decoder_inputs_embeds, which the model reads "
        "beside "
        "its source, got none. Give one of them, or open the encoder alone: 'architectures' in "
        "config.json names it, as T5EncoderModel.");
  }
  Seq2SeqInput input{.decoder_input_ids = std::exchange(source.decoder_input_ids, {}),
                     .decoder_inputs_embeds = std::exchange(source.decoder_inputs_embeds, {}),
                     .decoder_attention_mask = std::exchange(source.decoder_attention_mask, {})};
  input.encoder = source;
  return {.last_hidden_state = decode(input)};
}

EncoderInput Seq2SeqBodyImpl::with_target(const EncoderInput& input) const {
  if (input.decoder_input_ids.defined() || input.decoder_inputs_embeds.defined()) return input;
  if (!input.input_ids.defined()) {
    throw ConfigError(
        "decoder: expected decoder_input_ids, decoder_inputs_embeds, or input_ids to make them of, "
        "got embeddings alone. Give decoder_input_ids beside them.");
  }
  auto next = input;
  next.decoder_input_ids = shift_right(input.input_ids);
  return next;
}

at::Tensor Seq2SeqBodyImpl::shift_right(const at::Tensor& ids) const {
  return shift_tokens_right(ids, facts_.pad_token_id, facts_.decoder_start_token_id);
}

int64_t Seq2SeqBodyImpl::decoder_start_token_id() const {
  return known_start_token(facts_.decoder_start_token_id);
}

bool Seq2SeqBodyImpl::may_ignore(const std::string& key) const {
  return key.ends_with("coder.embed_tokens.weight");
}

}  // namespace peft
