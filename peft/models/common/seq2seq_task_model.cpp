#include "peft/models/common/seq2seq_task_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <utility>

#include "peft/base/error.h"
#include "peft/models/common/config_reader.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft {
namespace {

// The place of each row's last end token.  ids [B, T] -> [B]
at::Tensor last_ends(const at::Tensor& ids, int64_t end) {
  const auto found = ids.eq(end).to(at::kLong);
  const auto counts = found.sum(1);
  const auto least = counts.min().item<int64_t>(), most = counts.max().item<int64_t>();
  if (least < 1 || least != most) {
    throw ConfigError(fmt::format(
        "sequence classification: end tokens (eos_token_id): expected the same number in all rows, "
        "at least one, got {} to {}. Let each text end with its end token.",
        least, most));
  }
  return (found * at::arange(1, ids.size(1) + 1, ids.device())).argmax(1);
}

}  // namespace

Seq2SeqClassificationHeadImpl::Seq2SeqClassificationHeadImpl(int64_t hidden, int64_t num_labels,
                                                             double dropout,
                                                             at::TensorOptions options)
    : dropout_(dropout) {
  dense_ = register_module("dense", make_linear(hidden, hidden, true, options));
  out_proj_ = register_module("out_proj", make_linear(hidden, num_labels, true, options));
}

at::Tensor Seq2SeqClassificationHeadImpl::forward(const at::Tensor& x) {
  const auto inner = at::tanh(project(at::dropout(x, dropout_, is_training()), dense_));
  return project(at::dropout(inner, dropout_, is_training()), out_proj_);
}

Seq2SeqClassifierImpl::Seq2SeqClassifierImpl(Seq2SeqBody body, int64_t num_labels,
                                             std::optional<int64_t> end, at::TensorOptions options)
    : EncoderTaskModelImpl(body, ModelTask::kSequenceClassification, num_labels),
      body_(std::move(body)),
      end_(end) {
  const double dropout =
      ConfigReader(body_->config(), "config.json").probability("classifier_dropout", 0.0);
  head_ = register_module("classification_head", std::make_shared<Seq2SeqClassificationHeadImpl>(
                                                     shape().hidden, num_labels, dropout, options));
}

at::Tensor Seq2SeqClassifierImpl::head(const EncoderOutput& output) {
  return head_->forward(output.last_hidden_state);
}

at::Tensor Seq2SeqClassifierImpl::forward(const EncoderInput& input) {
  check_one_of(input.input_ids, input.inputs_embeds, "encoder: input_ids and inputs_embeds");
  if (!input.input_ids.defined()) {
    throw UnsupportedError(
        "sequence classification: expected input_ids, in which end tokens are looked for, got "
        "embeddings. Prompts of embeddings do not fit this model.");
  }
  if (!end_) {
    throw ConfigError("config.json: eos_token_id: expected the end token of texts, got none.");
  }
  const auto states = body_->forward(body_->with_target(input)).last_hidden_state;
  if (states.size(1) != input.input_ids.size(1)) {
    throw ConfigError(fmt::format(
        "sequence classification: the decoder's tokens: expected {}, as many as input_ids, in "
        "which end tokens are looked for, got {}.",
        input.input_ids.size(1), states.size(1)));
  }
  const auto ends = last_ends(input.input_ids.to(states.device()), *end_);
  const auto rows = at::arange(states.size(0), states.device());
  return head({.last_hidden_state = states.index({rows, ends})});
}

Seq2SeqAnswerModelImpl::Seq2SeqAnswerModelImpl(Seq2SeqBody body, int64_t num_labels,
                                               at::TensorOptions options)
    : body_(std::move(body)) {
  check_answer_labels(num_labels);
  body_->register_parts(*this);
  qa_outputs_ = register_module("qa_outputs", make_linear(shape().hidden, 2, true, options));
}

at::Tensor Seq2SeqAnswerModelImpl::forward(const EncoderInput& input) {
  check_one_of(input.input_ids, input.inputs_embeds, "encoder: input_ids and inputs_embeds");
  return project(body_->forward(body_->with_target(input)).last_hidden_state, qa_outputs_);
}

bool Seq2SeqAnswerModelImpl::may_lack(const std::string& parameter) const {
  return parameter.starts_with("qa_outputs.");
}

}  // namespace peft
