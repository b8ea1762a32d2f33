#pragma once

#include <functional>
#include <string>

#include "peft/methods/lora/variants/variant.h"

namespace peft::lora {

/// What adapter_config.json's `monteclora_config` says.
/// Source: MontecloraConfig in peft/tuners/lora/config.py.
struct MontecloraConfig {
  int64_t num_samples = 8;  // N draws of A that a training step averages
  bool use_entropy = false;
  double dirichlet_prior = 0.1;
  double sample_scaler = 1e-4;
  double kl_loss_weight = 1e-5;
  int64_t buffer_size = 150;  // Python draws as many at once; here each call draws its own

  static void fields(auto& self, auto&& field) {
    field("num_samples", self.num_samples, "Draws of A that a training step averages.");
    field("use_entropy", self.use_entropy, "Add the entropy of the mixture to the loss.");
    field("dirichlet_prior", self.dirichlet_prior, "Prior of the mixture.");
    field("sample_scaler", self.sample_scaler, "Scale of the draws.");
    field("kl_loss_weight", self.kl_loss_weight, "Weight of the extra loss.");
    field("buffer_size", self.buffer_size, "Draws that Python makes at once.");
  }
  /// Throws: ConfigError naming the key.
  static MontecloraConfig parse(const Json& object);
};

/// The random numbers of one call, before they are scaled by what has been learnt.
struct MontecloraNoise {
  at::Tensor normal;   // [N, I, R]
  at::Tensor wishart;  // [R], the diagonal of a Wishart matrix of R degrees of freedom
  at::Tensor mixture;  // [N], normal
};

/// MonteCLoRA: in training A is a learnt mixture of N draws around it; in evaluation, and where it
/// is merged, plain LoRA.
///
/// Source: Chowdhury et al., arXiv:2411.04358; MontecloraLinearVariant in
/// peft/tuners/lora/variants.py and peft/tuners/lora/monteclora.py.
class MontecloraVariant final : public LoraVariant {
 public:
  MontecloraVariant(const LoraConfig& config, const Site& site);

  void prepare(LoraAdapter& adapter, const VariantSetup& setup) override;
  void attach(const VariantSetup& setup, const at::TensorOptions& options,
              AdapterSlots& slots) override;
  at::Tensor linear(const LoraAdapter& adapter, const LinearCall& call,
                    const at::Tensor& y) const override;
  at::Tensor delta(const LoraAdapter& adapter, const at::Tensor& weight,
                   const at::Tensor& base) const override;

  /// The distance of what has been learnt from its priors, and the entropy term.
  /// -> scalar float32
  /// Source: MontecloraSampler.get_variational_loss.
  at::Tensor loss() const;

  /// Takes the random numbers from elsewhere, for tests.
  void set_noise(std::function<MontecloraNoise()> noise) { noise_ = std::move(noise); }

 private:
  MontecloraNoise draw() const;
  at::Tensor sampled(const at::Tensor& a) const;

  MontecloraConfig config_;
  SiteKind kind_;
  int64_t rank_ = 0, in_features_;
  at::Tensor std_prior_;                   // [R]
  at::Tensor expert_weights_prior_;        // [N]
  at::Tensor gaussian_var_prior_;          // [R, R], of the last call
  at::Tensor expert_weights_;              // [N], of the last call
  mutable at::Tensor variance_, mixture_;  // the same with their graphs
  std::function<MontecloraNoise()> noise_;
};

}  // namespace peft::lora
