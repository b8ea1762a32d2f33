#pragma once

#include "peft/tensor/attention_addition.h"

namespace peft {

/// Lets an attention layer read P learned inputs beside the tokens, behind a gate that begins shut.
/// Legend: C the model's width.
///
/// Source: AdaptedAttention, AdaptedAttentionGPT in peft/tuners/adaption_prompt/layer.py.
class AdaptedAttention final : public AttentionAddition {
 public:
  /// prompt [1, P, C], gate [1]; `projects`: the layer's last product is made of the addition too.
  AdaptedAttention(at::Tensor prompt, at::Tensor gate, bool projects)
      : prompt_(std::move(prompt)), gate_(std::move(gate)), projects_(projects) {}

  at::Tensor add(const AttentionState& state) const override;

 private:
  at::Tensor prompt_, gate_;
  bool projects_;
};

}  // namespace peft
