#include "peft/embedding_task.h"

#include <ATen/ATen.h>

#include "peft/base/error.h"

namespace peft {
namespace {

constexpr double kRankingScale = 20.0;  // of the cosines before the softmax

}  // namespace

EmbeddingTask::EmbeddingTask(PeftModelForFeatureExtraction model, const Pooling& pooling,
                             const std::string& adapter)
    : AdapterTask(model, adapter), model_(std::move(model)), pooling_(pooling) {
  pooling_.normalize = true;  // cosines are what is learnt
}

at::Tensor EmbeddingTask::vectors(const at::Tensor& ids, const at::Tensor& mask,
                                  const at::Tensor& task_ids) {
  const at::Tensor states =
      model_.forward({.input_ids = ids, .attention_mask = mask}, {.task_ids = task_ids})
          .last_hidden_state;
  // The states of a prompt come before those of the text.
  const int64_t tokens = ids.size(1);
  return pool(states.narrow(1, states.size(1) - tokens, tokens), mask, pooling_);
}

at::Tensor EmbeddingTask::loss_sum(const train::Batch& batch) {
  if (!batch.second_ids.defined()) {
    throw ConfigError("feature extraction: expected pairs of texts, got rows of one text.");
  }
  const at::Tensor first = vectors(batch.input_ids, batch.attention_mask, batch.task_ids);
  const at::Tensor second = vectors(batch.second_ids, batch.second_mask, batch.task_ids);
  if (batch.row_targets.defined()) {
    const at::Tensor cosines = (first * second).sum(1, true);
    const at::Tensor wanted = batch.row_targets.to(cosines.device(), at::kFloat);
    if (!is_training()) {
      if (!meter_) meter_ = std::make_unique<NumberMeter>();
      static_cast<NumberMeter&>(*meter_).add(cosines, wanted);
    }
    return (cosines - wanted).square().sum();
  }
  const at::Tensor scores = kRankingScale * first.matmul(second.t());
  const at::Tensor own = at::arange(batch.rows, scores.options().dtype(at::kLong));
  if (!is_training()) {
    if (!meter_) meter_ = std::make_unique<ClassMeter>();
    static_cast<ClassMeter&>(*meter_).add(scores.argmax(1), own);
  }
  return at::cross_entropy_loss(scores, own, {}, at::Reduction::Sum);
}

train::Metrics EmbeddingTask::metrics() {
  if (!meter_) return {};
  train::Metrics metrics = meter_->metrics();
  metrics.resize(1);  // places in a batch are no classes
  return metrics;
}

}  // namespace peft
