#include "peft/models/common/seq2seq_language_model.h"

#include <torch/nn/module.h>

#include <utility>

#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft {

Seq2SeqLanguageModelImpl::Seq2SeqLanguageModelImpl(Seq2SeqBody body, bool nested, bool tied,
                                                   at::TensorOptions options)
    : body_(std::move(body)), nested_(nested) {
  if (nested) {
    register_module(body_->base_model_prefix(), body_);
  } else {
    body_->register_parts(*this);
  }
  if (tied) return;
  const auto& embedding = body_->embedding_weight();
  lm_head_ =
      register_module("lm_head", make_linear(embedding.size(1), embedding.size(0), false, options));
}

at::Tensor Seq2SeqLanguageModelImpl::head(const at::Tensor& hidden) {
  return project(hidden, head_weight());
}

at::Tensor Seq2SeqLanguageModelImpl::head_weight() const {
  return lm_head_ ? lm_head_->weight : body_->embedding_weight();
}

void Seq2SeqLanguageModelImpl::untie_head(const at::Tensor& weight) {
  give_own_head(*this, lm_head_, weight);
  body_->set_config("tie_word_embeddings", false);
}

void Seq2SeqLanguageModelImpl::tie_head() {
  if (lm_head_) unregister_module("lm_head");
  lm_head_ = nullptr;
}

std::string Seq2SeqLanguageModelImpl::base_model_prefix() const {
  return nested_ ? body_->base_model_prefix() : std::string();
}

bool Seq2SeqLanguageModelImpl::may_ignore(const std::string& key) const {
  return Seq2SeqModelImpl::may_ignore(key) || body_->may_ignore(key);
}

}  // namespace peft
