#pragma once

#include <string>

#include "peft/methods/lora/variants/variant.h"

namespace peft::lora {

/// What adapter_config.json's `velora_config` says.
/// Source: VeloraConfig in peft/tuners/lora/config.py.
struct VeloraConfig {
  int64_t num_groups = 64;                  // parts that the width of the input is cut into
  double scale = 1.0;                       // of the input as it is made up again in backward
  std::string init_type = "batch_average";  // or "batch_average_once", "random"

  static void fields(auto& self, auto&& field) {
    field("num_groups", self.num_groups, "Parts that the width of the input is cut into.");
    field("scale", self.scale, "Of the input as it is made up again in backward.");
    field("init_type", self.init_type, "batch_average, batch_average_once or random.");
  }
  /// Throws: ConfigError naming the key.
  static VeloraConfig parse(const Json& object);
};

/// VeLoRA: forward is LoRA's, but for the gradient of A only one number a group of the input is
/// kept, its product with a direction e.
///
/// Source: Miles et al., arXiv:2405.17991; VeloraLinearVariant in peft/tuners/lora/variants.py and
/// peft/tuners/lora/velora.py.
class VeloraVariant final : public LoraVariant {
 public:
  VeloraVariant(const LoraConfig& config, const Site& site);

  void attach(const VariantSetup& setup, const at::TensorOptions& options,
              AdapterSlots& slots) override;
  at::Tensor linear(const LoraAdapter& adapter, const LinearCall& call,
                    const at::Tensor& y) const override;
  at::Tensor delta(const LoraAdapter& adapter, const at::Tensor& weight,
                   const at::Tensor& base) const override;

 private:
  void point_along(const at::Tensor& x) const;

  VeloraConfig config_;
  SiteKind kind_;
  at::Tensor direction_;  // e [ceil(I / groups)], of length one; a buffer
  mutable bool initialised_ = false;
};

}  // namespace peft::lora
