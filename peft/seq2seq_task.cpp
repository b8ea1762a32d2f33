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
  const Seq2SeqInput input{
      .encoder = {.input_ids = batch.input_ids, .attention_mask = batch.attention_mask}};
  if (!training_) measure(input, batch.labels);
  return model_.loss_sum(input, batch.labels);
}

void Seq2SeqTask::measure(const Seq2SeqInput& input, const at::Tensor& labels) {
  Seq2SeqInput with_target = input;
  with_target.decoder_input_ids = model_.get_base_model()->shift_right(labels);
  const at::Tensor logits = model_.forward(with_target);
  // A prompt may stand before the target.
  const int64_t tokens = labels.size(1);
  const at::Tensor best = logits.narrow(1, logits.size(1) - tokens, tokens).argmax(2).to(at::kCPU);
  const at::Tensor counts = labels.ne(-100), right = best.eq(labels).logical_and(counts);
  rows_ += labels.size(0);
  right_rows_ += right.logical_or(counts.logical_not()).all(1).sum().item<int64_t>();
  tokens_ += counts.sum().item<int64_t>();
  right_tokens_ += right.sum().item<int64_t>();
}

void Seq2SeqTask::set_training(bool on) {
  training_ = on;
  AdapterTask::set_training(on);
}

void Seq2SeqTask::begin_evaluation() { rows_ = right_rows_ = tokens_ = right_tokens_ = 0; }

train::Metrics Seq2SeqTask::metrics() {
  return {{"accuracy", part_of(right_tokens_, tokens_)},
          {"exact_match", part_of(right_rows_, rows_)}};
}

}  // namespace peft
