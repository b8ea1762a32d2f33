#pragma once

#include <memory>

#include "peft/prompt_learning.h"

namespace peft {

/// A language model with the active adapter's prompt before its tokens, for who knows nothing of
/// prompts: what comes out belongs to the tokens alone. As the adapters change, so does it; where
/// none is active it is the model itself.
class PromptedLanguageModelImpl final : public LanguageModelImpl {
 public:
  /// `task_ids` [B]: of the rows of a batch.
  PromptedLanguageModelImpl(std::shared_ptr<Tuner> tuner, at::Tensor task_ids = {});

  at::Tensor hidden_states(const LanguageModelInput& input) override;
  at::Tensor head(const at::Tensor& hidden) override { return model_.head(hidden); }
  at::Tensor head_weight() const override { return model_.head_weight(); }
  void untie_head(const at::Tensor& weight) override { model_.untie_head(weight); }
  at::Tensor embed(const at::Tensor& ids) override { return model_.embed(ids); }
  std::unique_ptr<KeyValueCache> new_cache() const override { return model_.new_cache(); }
  /// With room for the prompt beside `max_length` tokens.
  std::unique_ptr<KeyValueCache> new_static_cache(int64_t max_length) const override;
  ModelShape shape() const override { return model_.shape(); }
  const Json& config() const override { return model_.config(); }
  void set_gradient_checkpointing(bool on) override { model_.set_gradient_checkpointing(on); }
  bool is_gradient_checkpointing() const override { return model_.is_gradient_checkpointing(); }

 private:
  std::shared_ptr<Tuner> tuner_;
  LanguageModelImpl& model_;  // of the tuner's tree
  at::Tensor task_ids_;
};

}  // namespace peft
