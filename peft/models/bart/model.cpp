#include "peft/models/bart/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <cmath>
#include <utility>

#include "peft/models/common/seq2seq_task_model.h"

namespace peft::bart {
namespace {

Seq2SeqBodyImpl::Facts facts_of(const BartConfig& config) {
  return {.prefix = "model",
          .shape = {.layers = config.encoder.layers,
                    .heads = config.encoder.heads,
                    .kv_heads = config.decoder.heads,
                    .head_dim = config.d_model / config.decoder.heads,
                    .hidden = config.d_model,
                    .vocab = config.vocab_size},
          .decoder_layers = config.decoder.layers,
          .pad_token_id = config.pad_token_id,
          .decoder_start_token_id = config.decoder_start_token_id,
          .padding_row = config.pad_token_id.value_or(-1),
          .embedding_scale =
              config.scale_embedding ? std::sqrt(static_cast<double>(config.d_model)) : 1.0,
          .makes_target = true};
}

Seq2SeqBodyImpl::Parts make_parts(const BartConfig& config, at::TensorOptions options) {
  return {.shared = make_embedding(config.vocab_size, config.d_model, options),
          .encoder = std::make_shared<StackImpl>(config, false, options),
          .decoder = std::make_shared<StackImpl>(config, true, options)};
}

}  // namespace

BartModelImpl::BartModelImpl(const Json& json, const BartConfig& config, at::TensorOptions options)
    : Seq2SeqBodyImpl(json, facts_of(config), make_parts(config, options)) {}

// Source: BartPreTrainedModel._keys_to_ignore_on_load_unexpected.
bool BartModelImpl::may_ignore(const std::string& key) const {
  return Seq2SeqBodyImpl::may_ignore(key) || key.ends_with("coder.version");
}

BartForConditionalGenerationImpl::BartForConditionalGenerationImpl(Seq2SeqBody body, bool tied,
                                                                   at::TensorOptions options)
    : Seq2SeqLanguageModelImpl(std::move(body), true, tied, options) {
  final_logits_bias = register_buffer("final_logits_bias", at::zeros({1, shape().vocab}, options));
}

at::Tensor BartForConditionalGenerationImpl::head(const at::Tensor& hidden) {
  return Seq2SeqLanguageModelImpl::head(hidden) + final_logits_bias;
}

PretrainedModel make_model(const Json& json, ModelTask task, at::TensorOptions options) {
  const auto config = BartConfig::from_json(json);
  const auto body = [&] { return std::make_shared<BartModelImpl>(json, config, options); };
  switch (task) {
    case ModelTask::kBody:
      return body();
    case ModelTask::kSeq2SeqLM:
      return std::make_shared<BartForConditionalGenerationImpl>(body(), config.tie_word_embeddings,
                                                                options);
    case ModelTask::kSequenceClassification:
      return std::make_shared<Seq2SeqClassifierImpl>(body(), config.num_labels, config.eos_token_id,
                                                     options);
    case ModelTask::kQuestionAnswering:  // two labels, whatever the config says
      return std::make_shared<TokenHeadModelImpl>(body(), task, 2, 0.0, options);
    default:
      return nullptr;
  }
}

}  // namespace peft::bart
