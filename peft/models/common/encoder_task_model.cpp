#include "peft/models/common/encoder_task_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <utility>

#include "peft/base/error.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft {

void check_answer_labels(int64_t num_labels) {
  if (num_labels == 2) return;
  throw ConfigError(fmt::format(
      "config.json: num_labels: expected 2 for question answering (start and end), got {}. "
      "Choose a base model that was made for the task.",
      num_labels));
}

EncoderTaskModelImpl::EncoderTaskModelImpl(EncoderModel body, ModelTask task, int64_t num_labels)
    : body_(std::move(body)), task_(task), num_labels_(num_labels) {
  register_module(body_->base_model_prefix(), body_);
}

TokenHeadModelImpl::TokenHeadModelImpl(EncoderModel body, ModelTask task, int64_t num_labels,
                                       double dropout, at::TensorOptions options)
    : EncoderTaskModelImpl(std::move(body), task, num_labels), layer_(nullptr), dropout_(dropout) {
  const bool answers = task == ModelTask::kQuestionAnswering;
  if (answers) check_answer_labels(num_labels);
  layer_ = register_module(answers ? "qa_outputs" : "classifier",
                           make_linear(shape().hidden, num_labels, true, options));
}

at::Tensor TokenHeadModelImpl::head(const EncoderOutput& output) {
  return project(at::dropout(output.last_hidden_state, dropout_, is_training()), layer_);
}

}  // namespace peft
