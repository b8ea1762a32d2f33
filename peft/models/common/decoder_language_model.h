#pragma once

#include <torch/nn/modules/linear.h>

#include "peft/models/common/decoder_model.h"

namespace peft {

/// A decoder with a head that scores the next token: `lm_head`, or the embedding where they are
/// tied. A family derives from it to give it the name of its class.
class DecoderLanguageModelImpl : public LanguageModelImpl {
 public:
  /// `body` is registered under its base_model_prefix().
  DecoderLanguageModelImpl(DecoderModel body, bool tied, at::TensorOptions options);

  at::Tensor hidden_states(const LanguageModelInput& input) override;
  at::Tensor head(const at::Tensor& hidden) override;
  at::Tensor head_weight() const override;
  void untie_head(const at::Tensor& weight) override;
  at::Tensor embed(const at::Tensor& ids) override { return body_->embed(ids); }
  std::unique_ptr<KeyValueCache> new_cache() const override { return body_->new_cache(); }
  ModelShape shape() const override { return body_->shape(); }
  std::string base_model_prefix() const override { return body_->base_model_prefix(); }
  /// What the body may, and a copy of the embedding where it is the head.
  bool may_ignore(const std::string& key) const override;
  const Json& config() const override { return body_->config(); }
  void set_gradient_checkpointing(bool on) override { body_->set_gradient_checkpointing(on); }
  bool is_gradient_checkpointing() const override { return body_->is_gradient_checkpointing(); }
  std::function<void()> replicate_layers(const LayerRanges& ranges) override;

 private:
  DecoderModel body_;
  torch::nn::Linear lm_head_{nullptr};  // empty where the head is the embedding
};

}  // namespace peft
