#pragma once

#include <torch/nn/modules/linear.h>

#include <memory>
#include <string>

#include "peft/models/common/encoder_model.h"

namespace peft {

/// Throws: ConfigError where a model for question answering has not two labels.
void check_answer_labels(int64_t num_labels);

/// A body, registered under its base_model_prefix(), with a head that a derived class gives.
class EncoderTaskModelImpl : public TaskModelImpl {
 public:
  /// `body` reads what the call gives, a cache included.
  EncoderTaskModelImpl(EncoderModel body, ModelTask task, int64_t num_labels);

  ModelTask task() const override { return task_; }
  int64_t num_labels() const override { return num_labels_; }
  at::Tensor forward(const EncoderInput& input) override { return head(body_->forward(input)); }
  at::Tensor embed(const at::Tensor& ids) override { return body_->embed(ids); }
  std::unique_ptr<KeyValueCache> new_cache() const override { return body_->new_cache(); }
  ModelShape shape() const override { return body_->shape(); }
  std::function<void()> replicate_layers(const LayerRanges& ranges) override {
    return body_->replicate_layers(ranges);
  }
  const Json& config() const override { return body_->config(); }
  std::string base_model_prefix() const override { return body_->base_model_prefix(); }
  bool may_ignore(const std::string& key) const override { return body_->may_ignore(key); }
  void set_gradient_checkpointing(bool on) override { body_->set_gradient_checkpointing(on); }
  bool is_gradient_checkpointing() const override { return body_->is_gradient_checkpointing(); }

 protected:
  /// -> logits, as TaskModelImpl::forward
  virtual at::Tensor head(const EncoderOutput& output) = 0;

 private:
  EncoderModel body_;
  ModelTask task_;
  int64_t num_labels_;
};

/// One linear layer over the states of all tokens: `classifier` for token classification,
/// `qa_outputs` for question answering.
class TokenHeadModelImpl : public EncoderTaskModelImpl {
 public:
  /// `dropout`: of the states, in training.
  /// Throws: ConfigError where a model for question answering has not two labels.
  TokenHeadModelImpl(EncoderModel body, ModelTask task, int64_t num_labels, double dropout,
                     at::TensorOptions options);

 protected:
  at::Tensor head(const EncoderOutput& output) override;

 private:
  torch::nn::Linear layer_;
  double dropout_;
};

}  // namespace peft
