#pragma once

#include "peft/methods/lora/variants/variant.h"

namespace peft::lora {

/// Activated LoRA: plain LoRA from the last place on that the invocation tokens stand at, and
/// nothing before it, so that the keys and values of the tokens before can be shared with the base.
/// The tokens of a call come from CallTokens, which PeftModelForCausalLM sets.
///
/// Source: Greenewald et al., arXiv:2504.12397; ALoraLinearVariant and calculate_alora_offsets in
/// peft/tuners/lora/variants.py.
class AloraVariant final : public LoraVariant {
 public:
  AloraVariant(const LoraConfig& config, SiteKind kind);

  void prepare(LoraAdapter& adapter, const VariantSetup& setup) override;
  /// Throws: UnsupportedError where the tokens of the call are not known, MismatchError where their
  /// rows are not those of x.
  at::Tensor linear(const LoraAdapter& adapter, const LinearCall& call,
                    const at::Tensor& y) const override;
  at::Tensor delta(const LoraAdapter& adapter, const at::Tensor& weight,
                   const at::Tensor& base) const override;
  std::string input_dependence() const override;
  std::string merge_obstacle() const override;

 private:
  std::vector<int64_t> tokens_;
  SiteKind kind_;
  std::string name_;  // of the layer
};

/// The tokens of alora_invocation_tokens; empty where there are none.
/// Throws: ConfigError where it is not a list of token ids.
std::vector<int64_t> alora_tokens(const LoraConfig& config);

}  // namespace peft::lora
