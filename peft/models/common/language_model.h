#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peft/models/common/pretrained_model.h"

namespace peft {

/// One call of a language model. Legend: B rows, T new tokens, S tokens in the cache, V vocabulary.
struct LanguageModelInput {
  at::Tensor input_ids = {};       // [B, T] int64; this or inputs_embeds
  at::Tensor inputs_embeds = {};   // [B, T, hidden]
  at::Tensor attention_mask = {};  // [B, S + T], 1 = token, 0 = padding; undefined: no padding
  at::Tensor position_ids =
      {};  // [B, T]; undefined: counted from the cache's length, as transformers
  KeyValueCache* cache = nullptr;  // not owned; keys and values are appended to it

  /// The same tensors on a device.
  LanguageModelInput to(at::Device device) const;
};

/// A decoder that predicts the next token: what generation, training and prompt learning stand on.
class LanguageModelImpl : public PretrainedModelImpl {
 public:
  /// Hidden states after the last norm, on the model's device.  -> [B, T, hidden].
  /// Throws: ConfigError where neither or both of input_ids and inputs_embeds are given.
  virtual at::Tensor hidden_states(const LanguageModelInput& input) = 0;

  /// Scores of the next token.  hidden [..., hidden] -> [..., V] in the model's dtype.
  virtual at::Tensor head(const at::Tensor& hidden) = 0;

  std::string head_name() const override { return "lm_head"; }
  at::Tensor head_weight() const override = 0;
  void untie_head(const at::Tensor& weight) override = 0;
  std::unique_ptr<KeyValueCache> new_cache() const override = 0;

  /// Logits of every position.  -> [B, T, V].
  at::Tensor forward(const LanguageModelInput& input) { return head(hidden_states(input)); }

  /// Sum of the cross-entropy over the labels that are not -100, each label predicted from the
  /// token before it; computed in chunks, so that the logits of a whole batch never exist.
  ///   labels [B, T] int64 -> scalar float32
  at::Tensor loss_sum(const LanguageModelInput& input, const at::Tensor& labels);
};
using LanguageModel = std::shared_ptr<LanguageModelImpl>;

}  // namespace peft
