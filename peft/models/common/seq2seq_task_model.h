#pragma once

#include <torch/nn/modules/linear.h>

#include "peft/models/common/encoder_task_model.h"
#include "peft/models/common/seq2seq_body.h"

namespace peft {

/// `classification_head`: two layers on one state of each row.
class Seq2SeqClassificationHeadImpl : public torch::nn::Module {
 public:
  /// `dropout`: before each layer, in training.
  Seq2SeqClassificationHeadImpl(int64_t hidden, int64_t num_labels, double dropout,
                                at::TensorOptions options);
  /// x [B, hidden] -> [B, L]
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Linear dense_{nullptr}, out_proj_{nullptr};
  double dropout_;
};

/// An encoder-decoder with a head for classes of rows: the decoder reads the source again, behind
/// the start token, and its state at the last end token of a row is classified.
/// Source: T5ForSequenceClassification, BartForSequenceClassification in transformers.
class Seq2SeqClassifierImpl final : public EncoderTaskModelImpl {
 public:
  /// `end`: the token that texts end with. Reads `classifier_dropout` of the body's config.
  Seq2SeqClassifierImpl(Seq2SeqBody body, int64_t num_labels, std::optional<int64_t> end,
                        at::TensorOptions options);

  /// Throws: UnsupportedError where embeddings are given: end tokens are looked for in the ids;
  /// ConfigError where rows have different numbers of end tokens, or none.
  at::Tensor forward(const EncoderInput& input) override;

 protected:
  /// Its last_hidden_state is the one state of each row, [B, hidden].
  at::Tensor head(const EncoderOutput& output) override;

 private:
  Seq2SeqBody body_;
  std::shared_ptr<Seq2SeqClassificationHeadImpl> head_;
  std::optional<int64_t> end_;
};

/// An encoder-decoder whose parts are modules of its own, with a linear layer over the states of
/// its target: `qa_outputs`. The decoder reads the source again, behind the start token.
/// Source: T5ForQuestionAnswering in transformers.
class Seq2SeqAnswerModelImpl final : public TaskModelImpl {
 public:
  /// Throws: ConfigError where num_labels is not 2.
  Seq2SeqAnswerModelImpl(Seq2SeqBody body, int64_t num_labels, at::TensorOptions options);

  ModelTask task() const override { return ModelTask::kQuestionAnswering; }
  int64_t num_labels() const override { return 2; }
  at::Tensor forward(const EncoderInput& input) override;
  at::Tensor embed(const at::Tensor& ids) override { return body_->embed(ids); }
  ModelShape shape() const override { return body_->shape(); }
  const Json& config() const override { return body_->config(); }
  bool may_lack(const std::string& parameter) const override;
  bool may_ignore(const std::string& key) const override { return body_->may_ignore(key); }
  void set_gradient_checkpointing(bool on) override { body_->set_gradient_checkpointing(on); }
  bool is_gradient_checkpointing() const override { return body_->is_gradient_checkpointing(); }

 private:
  Seq2SeqBody body_;
  torch::nn::Linear qa_outputs_{nullptr};
};

}  // namespace peft
