#include "peft/models/t5/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cmath>

#include "peft/models/common/load_weights.h"
#include "peft/models/common/seq2seq_task_model.h"

namespace peft::t5 {

namespace {

Seq2SeqBodyImpl::Facts facts_of(const T5Config& config) {
  return {.prefix = "transformer",
          .shape = {.layers = config.num_layers,
                    .heads = config.num_heads,
                    .kv_heads = config.num_heads,
                    .head_dim = config.d_kv,
                    .hidden = config.d_model,
                    .vocab = config.vocab_size},
          .decoder_layers = config.num_decoder_layers,
          .pad_token_id = config.pad_token_id,
          .decoder_start_token_id = config.decoder_start_token_id};
}

Seq2SeqBodyImpl::Parts make_parts(const T5Config& config, bool decodes, at::TensorOptions options) {
  Seq2SeqBodyImpl::Parts parts{.shared = make_embedding(config.vocab_size, config.d_model, options),
                               .encoder = std::make_shared<StackImpl>(config, false, options)};
  if (decodes) parts.decoder = std::make_shared<StackImpl>(config, true, options);
  return parts;
}

}  // namespace

T5ModelImpl::T5ModelImpl(const Json& json, const T5Config& config, at::TensorOptions options)
    : Seq2SeqBodyImpl(json, facts_of(config), make_parts(config, true, options)) {}

// Source: T5Model._keys_to_ignore_on_load_unexpected.
bool T5ModelImpl::may_ignore(const std::string& key) const {
  return Seq2SeqBodyImpl::may_ignore(key) ||
         key.ends_with("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight");
}

T5EncoderModelImpl::T5EncoderModelImpl(const Json& json, const T5Config& config,
                                       at::TensorOptions options)
    : Seq2SeqBodyImpl(json, facts_of(config), make_parts(config, false, options)) {}

// Source: T5EncoderModel._keys_to_ignore_on_load_unexpected.
bool T5EncoderModelImpl::may_ignore(const std::string& key) const {
  return Seq2SeqBodyImpl::may_ignore(key) || key.find("decoder") != std::string::npos;
}

T5ForConditionalGenerationImpl::T5ForConditionalGenerationImpl(
    const std::shared_ptr<T5ModelImpl>& body, const T5Config& config, at::TensorOptions options)
    : Seq2SeqLanguageModelImpl(body, false, !config.own_head, options),
      scale_(config.scale_decoder_outputs ? std::pow(static_cast<double>(config.d_model), -0.5)
                                          : 1.0) {}

at::Tensor T5ForConditionalGenerationImpl::decode(const Seq2SeqInput& input) {
  const auto states = Seq2SeqLanguageModelImpl::decode(input);
  return scale_ == 1.0 ? states : states * scale_;
}

void T5ForConditionalGenerationImpl::untie_head(const at::Tensor& weight) {
  Seq2SeqLanguageModelImpl::untie_head(weight);
  // That the head was the embedding is what the scale goes by, so it has to be kept.
  body().set_config("scale_decoder_outputs", scale_ != 1.0);
}

void T5ForConditionalGenerationImpl::meet(const WeightSource& checkpoint) {
  const auto& entries = checkpoint.entries;
  const bool has_head = std::any_of(entries.begin(), entries.end(), [](const auto& entry) {
    return entry.name == "lm_head.weight";
  });
  if (!has_head) tie_head();
}

PretrainedModel make_model(const Json& json, ModelTask task, at::TensorOptions options) {
  const auto config = T5Config::from_json(json);
  const auto body = [&] { return std::make_shared<T5ModelImpl>(json, config, options); };
  const auto encoder = [&] { return std::make_shared<T5EncoderModelImpl>(json, config, options); };
  switch (task) {
    case ModelTask::kBody:
      if (config.encoder_only) return encoder();
      return body();
    case ModelTask::kSeq2SeqLM:
      return std::make_shared<T5ForConditionalGenerationImpl>(body(), config, options);
    case ModelTask::kSequenceClassification: {
      const auto end = ConfigReader(json, "config.json").token_id("eos_token_id", 1);
      return std::make_shared<Seq2SeqClassifierImpl>(body(), config.num_labels, end, options);
    }
    case ModelTask::kTokenClassification:
      return std::make_shared<TokenHeadModelImpl>(encoder(), task, config.num_labels,
                                                  config.classifier_dropout, options);
    case ModelTask::kQuestionAnswering:
      return std::make_shared<Seq2SeqAnswerModelImpl>(body(), config.num_labels, options);
    default:
      return nullptr;
  }
}

}  // namespace peft::t5
