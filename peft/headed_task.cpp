#include "peft/headed_task.h"

#include <ATen/ATen.h>

#include "peft/models/common/task_losses.h"

namespace peft {
namespace {

std::string problem_in(const Json& config, int64_t labels) {
  const auto type = config.find("problem_type");
  if (type != config.end() && type->is_string()) return type->get<std::string>();
  return labels == 1 ? "regression" : "";
}

// Those of the tokens alone: a prompt of embeddings has scores of its own before them.
at::Tensor own_scores(const at::Tensor& logits, const train::Batch& batch) {
  const int64_t tokens = batch.input_ids.size(1);
  return logits.narrow(1, logits.size(1) - tokens, tokens);
}

}  // namespace

PeftModel& peft_model_of(HeadedModel& model) {
  return std::visit([](auto& one) -> PeftModel& { return one; }, model);
}

at::Tensor scores_of(HeadedModel& model, const EncoderInput& input, const TaskCall& call) {
  return std::visit([&](auto& one) { return one.forward(input, call); }, model);
}

at::Tensor best_spans(const at::Tensor& logits, const at::Tensor& mask) {
  const int64_t tokens = logits.size(1);
  at::Tensor scores = logits.to(at::kFloat);
  if (mask.defined()) {
    scores = scores.masked_fill(mask.to(scores.device()).eq(0).unsqueeze(2),
                                -std::numeric_limits<float>::infinity());
  }
  // [B, start, end]
  const at::Tensor pairs = scores.select(2, 0).unsqueeze(2) + scores.select(2, 1).unsqueeze(1);
  const at::Tensor wrong = at::ones({tokens, tokens}, scores.options().dtype(at::kBool)).tril(-1);
  const at::Tensor best =
      pairs.masked_fill(wrong, -std::numeric_limits<float>::infinity()).flatten(1).argmax(1);
  return at::stack({best.div(tokens, "floor"), best.remainder(tokens)}, 1);
}

HeadedTask::HeadedTask(HeadedModel model, std::vector<std::string> label_names,
                       const std::string& adapter)
    : AdapterTask(peft_model_of(model), adapter),
      model_(std::move(model)),
      label_names_(std::move(label_names)) {}

at::Tensor HeadedTask::loss_sum(const train::Batch& batch) {
  const EncoderInput input{.input_ids = batch.input_ids,
                           .attention_mask = batch.attention_mask,
                           .token_type_ids = batch.token_type_ids};
  const at::Tensor mean =
      std::visit([&](auto& model) { return loss_of(model, input, batch); }, model_);
  return mean * static_cast<double>(batch.counted);
}

at::Tensor HeadedTask::loss_of(PeftModelForSequenceClassification& model, const EncoderInput& input,
                               const train::Batch& batch) {
  const at::Tensor logits = model.forward(input, {.task_ids = batch.task_ids});
  const Json config = model.config();
  const std::string problem = problem_in(config, logits.size(1));
  const at::Tensor& wanted = batch.row_targets;
  const bool numbers = problem == "regression", many = problem == "multi_label_classification";
  const at::Tensor labels = numbers || many ? wanted : wanted.to(at::kLong).squeeze(1);
  if (!is_training()) {
    if (numbers) {
      meter<NumberMeter>().add(logits, wanted);
    } else if (many) {
      meter<LabelsMeter>().add(logits.gt(0), wanted);
    } else {
      meter<ClassMeter>().add(logits.argmax(1), labels);
    }
  }
  return sequence_classification_loss(logits, labels, config);
}

at::Tensor HeadedTask::loss_of(PeftModelForTokenClassification& model, const EncoderInput& input,
                               const train::Batch& batch) {
  const at::Tensor own = own_scores(model.forward(input, {.task_ids = batch.task_ids}), batch);
  if (!is_training()) meter<EntityMeter>(label_names_).add(own.argmax(2), batch.labels);
  return token_classification_loss(own, batch.labels);
}

at::Tensor HeadedTask::loss_of(PeftModelForQuestionAnswering& model, const EncoderInput& input,
                               const train::Batch& batch) {
  const at::Tensor logits = own_scores(model.forward(input, {.task_ids = batch.task_ids}), batch);
  const at::Tensor borders = batch.row_targets.to(at::kLong);
  if (!is_training() && batch.windows.empty()) {
    meter<SpanMeter>().add(best_spans(logits), borders);
  } else if (!is_training()) {
    meter<AnswerMeter>().add(logits, borders, batch.windows);
  }
  return question_answering_loss(logits, borders.select(1, 0), borders.select(1, 1));
}

template <typename Meter, typename... Arguments>
Meter& HeadedTask::meter(Arguments&&... arguments) {
  if (!meter_) meter_ = std::make_unique<Meter>(std::forward<Arguments>(arguments)...);
  return static_cast<Meter&>(*meter_);
}

void HeadedTask::begin_evaluation() { meter_.reset(); }

train::Metrics HeadedTask::metrics() { return meter_ ? meter_->metrics() : train::Metrics(); }

}  // namespace peft
