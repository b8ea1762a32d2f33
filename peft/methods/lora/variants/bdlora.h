#pragma once

#include "peft/methods/lora/variants/variant.h"

namespace peft::lora {

/// What adapter_config.json's `use_bdlora` says.  Source: BdLoraConfig in
/// peft/tuners/lora/config.py.
struct BdLoraConfig {
  /// Parts of names whose A, or B, is block-diagonal; nullopt: none.
  std::optional<std::vector<std::string>> target_modules_bd_a = std::nullopt;
  std::optional<std::vector<std::string>> target_modules_bd_b = std::nullopt;
  int64_t nblocks = 1;
  bool match_strict = true;  // every target has to be in one of the lists

  static void fields(auto& self, auto&& field) {
    field("target_modules_bd_a", self.target_modules_bd_a,
          "Parts of names whose A is block-diagonal.");
    field("target_modules_bd_b", self.target_modules_bd_b,
          "Parts of names whose B is block-diagonal.");
    field("nblocks", self.nblocks, "Blocks of a matrix.");
    field("match_strict", self.match_strict, "Every target has to be in one of the lists.");
  }
  /// Throws: ConfigError naming the key.
  static BdLoraConfig parse(const Json& object);
};

/// BD-LoRA: A or B is block-diagonal, so that each shard of a sharded layer needs only its own
/// part. Only the blocks are stored: A [R, I / blocks], B [O, R / blocks].
///
/// Source: BdLoraLinearVariant in peft/tuners/lora/variants.py.
class BdLoraVariant final : public LoraVariant {
 public:
  explicit BdLoraVariant(SiteKind kind) : kind_(kind) {}

  void prepare(LoraAdapter& adapter, const VariantSetup& setup) override;
  at::Tensor linear(const LoraAdapter& adapter, const LinearCall& call,
                    const at::Tensor& y) const override;
  at::Tensor delta(const LoraAdapter& adapter, const at::Tensor& weight,
                   const at::Tensor& base) const override;

 private:
  SiteKind kind_;
  int64_t a_blocks_ = 1, b_blocks_ = 1;
};

}  // namespace peft::lora
