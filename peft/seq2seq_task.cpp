#include "peft/seq2seq_task.h"

#include <ATen/ATen.h>

namespace peft {
namespace {

double part_of(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Seq2SeqTask::Seq2SeqTask(PeftModelForSeq2SeqLM model, const std::string& adapter)
    : AdapterTask(model, adapter), model_(std::move(model)) {}

at::Tensor Seq2SeqTask::loss_sum(const train::Batch& batch) {
  Seq2SeqInput input{
      .encoder = {.input_ids = batch.input_ids, .attention_mask = batch.attention_mask}};
  const TaskCall call{.task_ids = batch.task_ids};
  if (is_training()) return model_.loss_sum(input, batch.labels, call);
  input.decoder_input_ids = model_.get_base_model()->shift_right(batch.labels);
  const at::Tensor logits = model_.forward(input, call);
  // A prompt may stand before the target.
  const int64_t tokens = batch.labels.size(1);
  const at::Tensor own = logits.narrow(1, logits.size(1) - tokens, tokens);
  measure(own.argmax(2).to(at::kCPU), batch.labels);
  return at::cross_entropy_loss(own.to(at::kFloat).flatten(0, 1),
                                batch.labels.flatten().to(own.device()), {}, at::Reduction::Sum,
                                -100);
}

void Seq2SeqTask::measure(const at::Tensor& best, const at::Tensor& labels) {
  const at::Tensor counts = labels.ne(-100), right = best.eq(labels).logical_and(counts);
  rows_ += labels.size(0);
  right_rows_ += right.logical_or(counts.logical_not()).all(1).sum().item<int64_t>();
  tokens_ += counts.sum().item<int64_t>();
  right_tokens_ += right.sum().item<int64_t>();
}

void Seq2SeqTask::begin_evaluation() { rows_ = right_rows_ = tokens_ = right_tokens_ = 0; }

train::Metrics Seq2SeqTask::metrics() {
  return {{"accuracy", part_of(right_tokens_, tokens_)},
          {"exact_match", part_of(right_rows_, rows_)}};
}

}  // namespace peft
