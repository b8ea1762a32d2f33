#pragma once

#include <string>

#include "peft/adapter_task.h"
#include "peft/peft_model_for_seq2seq_lm.h"

namespace peft {

/// Trains an adapter of an encoder-decoder on pairs of source and target. Its evaluations tell
/// "accuracy", of the tokens of the targets, and "exact_match", of the targets that greedy decoding
/// would write: those whose every token is the most probable one behind the tokens before it.
class Seq2SeqTask final : public AdapterTask {
 public:
  /// `adapter` has to be active and trainable.
  explicit Seq2SeqTask(PeftModelForSeq2SeqLM model, const std::string& adapter = "default");

  at::Tensor loss_sum(const train::Batch& batch) override;
  void begin_evaluation() override;
  train::Metrics metrics() override;

 private:
  /// best, labels [B, T] int64 on the CPU
  void measure(const at::Tensor& best, const at::Tensor& labels);

  PeftModelForSeq2SeqLM model_;
  int64_t rows_ = 0, right_rows_ = 0, tokens_ = 0, right_tokens_ = 0;
};

}  // namespace peft
