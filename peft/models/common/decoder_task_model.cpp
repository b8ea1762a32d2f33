#include "peft/models/common/decoder_task_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include "peft/base/error.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft {
namespace {

int64_t labels_of(const DecoderModelImpl& body, ModelTask task) {
  if (task == ModelTask::kQuestionAnswering) return 2;
  return read_num_labels(ConfigReader(body.config(), "config.json"));
}

std::string head_layer_name(ModelTask task, const DecoderHeads& heads) {
  if (task == ModelTask::kQuestionAnswering) return "qa_outputs";
  return task == ModelTask::kSequenceClassification ? "score" : heads.token_classifier;
}

bool head_has_bias(ModelTask task, const DecoderHeads& heads) {
  if (task == ModelTask::kTokenClassification) return heads.token_bias;
  return task == ModelTask::kQuestionAnswering;
}

// The rightmost token that is not padding, [B]; the first one where all are.
at::Tensor last_tokens(const at::Tensor& ids, int64_t padding) {
  return (at::arange(ids.size(1), ids.device()) * ids.ne(padding)).argmax(-1);
}

}  // namespace

DecoderTaskModelImpl::DecoderTaskModelImpl(DecoderModel body, ModelTask task,
                                           const DecoderHeads& heads, at::TensorOptions options)
    : EncoderTaskModelImpl(body, task, labels_of(*body, task)), layer_(nullptr) {
  const auto& embedding = body->embedding_weight();
  padding_ = read_any_padding(ConfigReader(body->config(), "config.json"), heads.padding);
  layer_ = register_module(
      head_layer_name(task, heads),
      make_linear(embedding.size(1), num_labels(), head_has_bias(task, heads), options));
  if (task == ModelTask::kTokenClassification) dropout_ = heads.token_dropout;
}

at::Tensor DecoderTaskModelImpl::head(const EncoderOutput& output) {
  return project(at::dropout(output.last_hidden_state, dropout_, is_training()), layer_);
}

at::Tensor DecoderTaskModelImpl::forward(const EncoderInput& input) {
  const auto scores = EncoderTaskModelImpl::forward(input);  // [B, T, L]
  if (task() != ModelTask::kSequenceClassification) return scores;
  const auto rows = scores.size(0);
  if (!padding_ && rows != 1) {
    throw ConfigError(fmt::format(
        "sequence classification: expected one row, as config.json names no pad_token_id and the "
        "last token cannot be told from padding, got {} rows. Set pad_token_id.",
        rows));
  }
  if (!padding_ || !input.input_ids.defined()) return scores.select(1, scores.size(1) - 1);
  const auto last = last_tokens(input.input_ids, *padding_).to(scores.device());
  return scores.index({at::arange(rows, scores.device()), last});
}

double read_token_dropout(const ConfigReader& config) {
  const bool own = config.has("classifier_dropout");
  return config.probability(own ? "classifier_dropout" : "hidden_dropout", 0.1);
}

PretrainedModel make_decoder_model(const DecoderModel& body, ModelTask task,
                                   const DecoderHeads& heads, at::TensorOptions options) {
  switch (task) {
    case ModelTask::kBody:
      return body;
    case ModelTask::kTokenClassification:
      if (heads.token_classifier.empty()) return nullptr;
      [[fallthrough]];
    case ModelTask::kSequenceClassification:
    case ModelTask::kQuestionAnswering:
      return std::make_shared<DecoderTaskModelImpl>(body, task, heads, options);
    default:
      return nullptr;
  }
}

}  // namespace peft
