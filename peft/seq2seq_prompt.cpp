#include "peft/seq2seq_prompt.h"

#include <ATen/ATen.h>

#include "peft/base/error.h"
#include "peft/base_model.h"

namespace peft {
namespace {

bool is_multitask(const Tuner& tuner) { return tuner.method().name == "MULTITASK_PROMPT_TUNING"; }

const at::Tensor& source_tokens(const EncoderInput& input) {
  return input.input_ids.defined() ? input.input_ids : input.inputs_embeds;
}

const at::Tensor& target_tokens(const Seq2SeqInput& input) {
  return input.decoder_input_ids.defined() ? input.decoder_input_ids : input.decoder_inputs_embeds;
}

// The prompt's embeddings of one side, and those of the tokens.  -> [B, N + T, D]
at::Tensor with_prompt(const at::Tensor& prompt, int64_t first, int64_t count,
                       const at::Tensor& tokens) {
  const at::Tensor part = prompt.narrow(1, first, count).to(tokens.device(), tokens.scalar_type());
  return at::cat({part, tokens}, 1);
}

void put_before_source(Seq2SeqModelImpl& model, EncoderInput& input, const at::Tensor& prompt,
                       int64_t count) {
  const at::Tensor tokens =
      input.inputs_embeds.defined() ? input.inputs_embeds : embed_there(model, input.input_ids);
  input.inputs_embeds = with_prompt(prompt, 0, count, tokens);
  input.input_ids.reset();
}

void put_before_target(Seq2SeqModelImpl& model, Seq2SeqInput& input, const at::Tensor& prompt,
                       int64_t count) {
  const at::Tensor tokens = input.decoder_inputs_embeds.defined()
                                ? input.decoder_inputs_embeds
                                : embed_there(model, input.decoder_input_ids);
  input.decoder_inputs_embeds = with_prompt(prompt, prompt.size(1) - count, count, tokens);
  input.decoder_input_ids.reset();
}

// An empty cache gets the prompt's keys and values.
void begin_cache(const Tuner& tuner, KeyValueCache& cache, int64_t rows,
                 const at::Tensor& task_ids) {
  if (cache.length() > 0) return;
  const auto prompt = std::get<std::shared_ptr<KeyValueCache>>(get_prompt(tuner, rows, task_ids));
  for (int64_t layer = 0; layer < prompt->layers(); ++layer) {
    const auto [keys, values] = prompt->layer(layer);
    if (keys.defined()) cache.append(layer, keys, values);
  }
}

}  // namespace

Seq2SeqModelImpl& seq2seq_model_of(const Tuner& tuner) {
  if (auto* model = dynamic_cast<Seq2SeqModelImpl*>(tuner.tree().native_root().get())) {
    return *model;
  }
  throw UnsupportedError("prompt learning: expected a peft::Seq2SeqModel, got a module of type " +
                         tuner.tree().class_name() +
                         ". Load the base model for the task kSeq2SeqLM.");
}

int64_t active_target_tokens(const Tuner& tuner) {
  const int64_t tokens = active_virtual_tokens(tuner);
  if (tokens == 0 || !is_multitask(tuner)) return 0;
  const SharedFields fields = tuner.config(tuner.active_adapters().front()).shared();
  return **fields.num_transformer_submodules == 2 ? tokens : 0;
}

PreparedSeq2SeqInputs put_prompt(const Tuner& tuner, const Seq2SeqInput& given,
                                 const at::Tensor& task_ids) {
  PreparedSeq2SeqInputs prepared{.input = given};
  const int64_t tokens = active_virtual_tokens(tuner);
  if (tokens == 0) return prepared;
  Seq2SeqModelImpl& model = seq2seq_model_of(tuner);
  Seq2SeqInput& input = prepared.input;
  const at::Tensor& target = target_tokens(given);
  const at::Tensor& source = source_tokens(given.encoder);
  if (tuner.method().prompt_is_cache) {
    if (!target.defined()) return prepared;  // for the model to tell
    if (given.cache == nullptr) {
      prepared.cache = model.new_seq2seq_cache();
      input.cache = prepared.cache.get();
    }
    begin_cache(tuner, *input.cache->self_attention, target.size(0), task_ids);
    input.decoder_attention_mask = with_prompt_seen(given.decoder_attention_mask, tokens);
    return prepared;
  }
  input.encoder.attention_mask = with_prompt_seen(given.encoder.attention_mask, tokens);
  const bool fresh = !given.encoder_states.defined() && !given.knows_source();
  const int64_t ahead = active_target_tokens(tuner);
  const bool begins = given.cache == nullptr || given.cache->self_attention->length() == 0;
  if (!(fresh && source.defined()) && !(ahead > 0 && begins && target.defined())) return prepared;
  const int64_t rows = (source.defined() ? source : target).size(0);
  const auto prompt = std::get<at::Tensor>(get_prompt(tuner, rows, task_ids));
  if (fresh && source.defined()) put_before_source(model, input.encoder, prompt, tokens);
  if (ahead == 0 || !target.defined()) return prepared;
  if (begins) put_before_target(model, input, prompt, ahead);
  input.decoder_attention_mask = with_prompt_seen(given.decoder_attention_mask, ahead);
  return prepared;
}

PromptedSeq2SeqModelImpl::PromptedSeq2SeqModelImpl(std::shared_ptr<Tuner> tuner,
                                                   at::Tensor task_ids)
    : tuner_(std::move(tuner)), model_(seq2seq_model_of(*tuner_)), task_ids_(std::move(task_ids)) {}

at::Tensor PromptedSeq2SeqModelImpl::encode(const EncoderInput& given) {
  const int64_t tokens = active_virtual_tokens(*tuner_);
  const at::Tensor& source = source_tokens(given);
  if (tokens == 0 || tuner_->method().prompt_is_cache || !source.defined()) {
    return model_.encode(given);
  }
  EncoderInput input = given;
  input.attention_mask = with_prompt_seen(given.attention_mask, tokens);
  const auto prompt = std::get<at::Tensor>(get_prompt(*tuner_, source.size(0), task_ids_));
  put_before_source(model_, input, prompt, tokens);
  return model_.encode(input);
}

at::Tensor PromptedSeq2SeqModelImpl::decode(const Seq2SeqInput& given) {
  if (tuner_->active_prompt() != nullptr && tuner_->method().prompt_is_cache) {
    const PreparedSeq2SeqInputs prepared = put_prompt(*tuner_, given, task_ids_);
    return model_.decode(prepared.input);
  }
  Seq2SeqInput input = given;
  if (!input.encoder_states.defined() && !input.knows_source()) {
    input.encoder_states = encode(input.encoder);
  }
  input.encoder.attention_mask =
      with_prompt_seen(given.encoder.attention_mask, active_virtual_tokens(*tuner_));
  return model_.decode(input);
}

std::unique_ptr<KeyValueCache> PromptedSeq2SeqModelImpl::new_static_cache(
    int64_t max_length) const {
  return model_.new_static_cache(max_length + active_virtual_tokens(*tuner_));
}

}  // namespace peft
