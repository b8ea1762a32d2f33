#pragma once

#include "peft/methods/lora/variants/variant.h"

namespace peft::lora {

/// What adapter_config.json's `kasa_config` says.  Source: KasaConfig in
/// peft/tuners/lora/config.py.
struct KasaConfig {
  double beta = 1e-4;   // weight of the squares of the singular values in the extra loss
  double gamma = 1e-3;  // weight of A's and B's distance from orthogonality

  static void fields(auto& self, auto&& field) {
    field("beta", self.beta, "Weight of the squares of the singular values in the extra loss.");
    field("gamma", self.gamma, "Weight of the distance of A and B from orthogonality.");
  }
  /// Throws: ConfigError naming the key.
  static KasaConfig parse(const Json& object);
};

/// KaSA: the base weight loses its R smallest singular values for good, and a learnt diagonal d
/// stands between B and A: y = W' x + s B (d · A x).
///
/// Source: Wang et al., arXiv:2412.06071; KasaLinearVariant in peft/tuners/lora/variants.py.
class KasaVariant final : public LoraVariant {
 public:
  void prepare(LoraAdapter& adapter, const VariantSetup& setup) override;
  void attach(const VariantSetup& setup, const at::TensorOptions& options,
              AdapterSlots& slots) override;
  /// Returns the truncated weight.  Throws: ConfigError where R leaves nothing of it.
  BaseChange initialise(const LoraAdapter& adapter, const at::Tensor& weight) override;
  at::Tensor linear(const LoraAdapter& adapter, const LinearCall& call,
                    const at::Tensor& y) const override;
  at::Tensor delta(const LoraAdapter& adapter, const at::Tensor& weight,
                   const at::Tensor& base) const override;

  /// The extra loss of this layer: beta Σ d² + gamma (‖BᵀB - 1‖ + ‖AAᵀ - 1‖).  -> scalar float32
  /// Source: _kasa_layer_regularization_loss.
  at::Tensor loss(const LoraAdapter& adapter) const;

 private:
  std::string module_;
  KasaConfig config_;
  int64_t rank_ = 0;
  at::Tensor diagonal_;  // d [R]
};

}  // namespace peft::lora
