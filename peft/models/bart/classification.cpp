#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include "peft/base/error.h"
#include "peft/models/bart/model.h"
#include "peft/models/common/project.h"

namespace peft::bart {
namespace {

// The place of each row's last end token.  ids [B, T] -> [B]
at::Tensor last_ends(const at::Tensor& ids, int64_t end) {
  const auto found = ids.eq(end).to(at::kLong);
  const auto counts = found.sum(1);
  if (counts.min().item<int64_t>() < 1 || counts.ne(counts[0]).any().item<bool>()) {
    throw ConfigError(
        "bart: end tokens: expected the same number in all rows, at least one (eos_token_id), "
        "got " +
        std::to_string(counts.min().item<int64_t>()) + " to " +
        std::to_string(counts.max().item<int64_t>()) + ". Let each text end with its end token.");
  }
  return (found * at::arange(1, ids.size(1) + 1, ids.device())).argmax(1);
}

}  // namespace

ClassificationHeadImpl::ClassificationHeadImpl(const BartConfig& config, at::TensorOptions options)
    : dropout_(config.classifier_dropout) {
  dense = register_module("dense", make_linear(config.d_model, config.d_model, true, options));
  out_proj =
      register_module("out_proj", make_linear(config.d_model, config.num_labels, true, options));
}

at::Tensor ClassificationHeadImpl::forward(const at::Tensor& x) {
  const auto inner = at::tanh(project(at::dropout(x, dropout_, is_training()), dense));
  return project(at::dropout(inner, dropout_, is_training()), out_proj);
}

BartForSequenceClassificationImpl::BartForSequenceClassificationImpl(const Json& config,
                                                                     at::TensorOptions options)
    : json_(config), config_(BartConfig::from_json(config)) {
  model = register_module("model", Body(config_, options));
  classification_head =
      register_module("classification_head", ClassificationHead(config_, options));
}

at::Tensor BartForSequenceClassificationImpl::forward(const EncoderInput& input) {
  check_one_input(input);
  if (!input.input_ids.defined()) {
    throw UnsupportedError(
        "bart: sequence classification: expected input_ids, in which end tokens are looked for, "
        "got embeddings. Prompts of embeddings do not fit this model.");
  }
  if (!config_.eos_token_id) {
    throw ConfigError("config.json: eos_token_id: expected the end token of texts, got none.");
  }
  const auto ids =
      shift_tokens_right(input.input_ids, config_.pad_token_id, config_.decoder_start_token_id);
  const auto hidden = model->decode({.encoder = input, .decoder_input_ids = ids}, checkpointing_);
  const auto rows = at::arange(hidden.size(0), hidden.device());
  const auto ends = last_ends(input.input_ids.to(hidden.device()), *config_.eos_token_id);
  return classification_head->forward(hidden.index({rows, ends}));
}

}  // namespace peft::bart
