#pragma once

#include <torch/nn/modules/linear.h>

#include "peft/models/common/seq2seq_body.h"

namespace peft {

/// An encoder-decoder with a head that scores the next target token: `lm_head`, or the embedding
/// where they are tied. A family derives from it to give it the name of its class.
class Seq2SeqLanguageModelImpl : public Seq2SeqModelImpl {
 public:
  /// `nested`: the body is registered under its base_model_prefix(); else its parts are modules of
  /// this model.
  Seq2SeqLanguageModelImpl(Seq2SeqBody body, bool nested, bool tied, at::TensorOptions options);

  at::Tensor encode(const EncoderInput& input) override { return body_->encode(input); }
  at::Tensor decode(const Seq2SeqInput& input) override { return body_->decode(input); }
  at::Tensor head(const at::Tensor& hidden) override;
  at::Tensor head_weight() const override;
  void untie_head(const at::Tensor& weight) override;
  at::Tensor embed(const at::Tensor& ids) override { return body_->embed(ids); }
  at::Tensor shift_right(const at::Tensor& labels) const override {
    return body_->shift_right(labels);
  }
  int64_t decoder_start_token_id() const override { return body_->decoder_start_token_id(); }
  int64_t decoder_layers() const override { return body_->decoder_layers(); }
  ModelShape shape() const override { return body_->shape(); }
  std::string base_model_prefix() const override;
  const Json& config() const override { return body_->config(); }
  bool may_ignore(const std::string& key) const override;
  void set_gradient_checkpointing(bool on) override { body_->set_gradient_checkpointing(on); }
  bool is_gradient_checkpointing() const override { return body_->is_gradient_checkpointing(); }

 protected:
  Seq2SeqBodyImpl& body() { return *body_; }
  /// Makes the embedding the head.
  void tie_head();

 private:
  Seq2SeqBody body_;
  bool nested_;
  torch::nn::Linear lm_head_{nullptr};  // empty where the head is the embedding
};

}  // namespace peft
