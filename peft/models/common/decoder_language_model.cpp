#include "peft/models/common/decoder_language_model.h"

#include <torch/nn/module.h>

#include <utility>

#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft {

DecoderLanguageModelImpl::DecoderLanguageModelImpl(DecoderModel body, bool tied,
                                                   at::TensorOptions options)
    : body_(std::move(body)) {
  register_module(body_->base_model_prefix(), body_);
  if (tied) return;
  const auto& embedding = body_->embedding_weight();
  lm_head_ =
      register_module("lm_head", make_linear(embedding.size(1), embedding.size(0), false, options));
}

at::Tensor DecoderLanguageModelImpl::hidden_states(const LanguageModelInput& input) {
  return body_->hidden_states(input);
}

at::Tensor DecoderLanguageModelImpl::head(const at::Tensor& hidden) {
  return project(hidden, head_weight());
}

at::Tensor DecoderLanguageModelImpl::head_weight() const {
  return lm_head_ ? lm_head_->weight : body_->embedding_weight();
}

bool DecoderLanguageModelImpl::may_ignore(const std::string& key) const {
  return key == head_name() + ".weight" || body_->may_ignore(key);
}

void DecoderLanguageModelImpl::untie_head(const at::Tensor& weight) {
  give_own_head(*this, lm_head_, weight);
  body_->set_config("tie_word_embeddings", false);
}

std::function<void()> DecoderLanguageModelImpl::replicate_layers(const LayerRanges& ranges) {
  return body_->replicate_layers(ranges);
}

}  // namespace peft
