#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "peft/base/json_fields.h"

namespace peft {

/// Settings of init_lora_weights = "eva".
///
/// Source: Paischer et al., arXiv:2410.07170; EvaConfig in peft/tuners/lora/config.py.
struct EvaConfig {
  double rho = 2.0;            // a site's rank is at most rho times the config's, >= 1
  double tau = 0.99;           // cosine similarity from which a component counts as found, 0 to 1
  bool use_label_mask = true;  // leave out positions whose label is label_mask_value
  int64_t label_mask_value = -100;
  bool whiten = false;                 // divide components by the root of their singular value
  bool adjust_scaling_factors = true;  // keep the scaling where a rank was changed

  static void fields(auto& self, auto&& field) {
    field("rho", self.rho, "How many times its rank a site may get.");
    field("tau", self.tau, "Cosine similarity from which a component counts as found.");
    field("use_label_mask", self.use_label_mask, "Leave out positions without a label.");
    field("label_mask_value", self.label_mask_value, "The label that stands for none.");
    field("whiten", self.whiten, "Divide components by the root of their singular value.");
    field("adjust_scaling_factors", self.adjust_scaling_factors,
          "Keep the scaling where the rank was changed.");
  }
  /// Throws: ConfigError.
  void validate() const;
  friend bool operator==(const EvaConfig&, const EvaConfig&) = default;
};

/// Settings of init_lora_weights = "corda". The files are safetensors here.
///
/// Source: Yang et al., arXiv:2406.05223; CordaConfig in peft/tuners/lora/config.py.
struct CordaConfig {
  std::optional<std::string> cache_file = std::nullopt;       // of the decompositions
  std::optional<std::string> covariance_file = std::nullopt;  // of the inputs' covariances
  std::string corda_method = "ipm";  // "ipm": the largest components; "kpm": the smallest
  bool verbose = false;
  bool use_float16_for_covariance = false;
  bool prune_temporary_fields = true;

  static void fields(auto& self, auto&& field) {
    field("cache_file", self.cache_file, "File of the decompositions.");
    field("covariance_file", self.covariance_file, "File of the covariances.");
    field("corda_method", self.corda_method, "ipm or kpm.");
    field("verbose", self.verbose, "Show progress.");
    field("use_float16_for_covariance", self.use_float16_for_covariance,
          "Sum the covariance in the inputs' own type.");
    field("prune_temporary_fields", self.prune_temporary_fields, "Forget what is not needed.");
  }
  /// Throws: ConfigError.
  void validate() const;
  friend bool operator==(const CordaConfig&, const CordaConfig&) = default;
};

/// Settings of init_lora_weights = "loftq".
///
/// Source: Li et al., arXiv:2310.08659; LoftQConfig in peft/tuners/lora/config.py.
struct LoftQConfig {
  int64_t loftq_bits = 4;  // 4: NF4, 8: int8
  int64_t loftq_iter = 1;  // how often quantising and decomposing alternate, >= 1

  static void fields(auto& self, auto&& field) {
    field("loftq_bits", self.loftq_bits, "Bits of a quantised weight: 4 or 8.");
    field("loftq_iter", self.loftq_iter, "Times that quantising and decomposing alternate.");
  }
  /// Throws: ConfigError.
  void validate() const;
  friend bool operator==(const LoftQConfig&, const LoftQConfig&) = default;
};

/// Settings of init_lora_weights = "lora_ga".
///
/// Source: Wang et al., arXiv:2407.05000; LoraGAConfig in peft/tuners/lora/config.py.
struct LoraGAConfig {
  std::string direction = "ArB2r";  // "ArBr", "A2rBr", "ArB2r" or "random"
  std::string scale = "stable";     // "stable", "weight_svd", "gd_scale" or "unit"
  int64_t stable_gamma = 16;        // of scale "stable", > 0

  static void fields(auto& self, auto&& field) {
    field("direction", self.direction,
          "Which components A and B get: ArBr, A2rBr, ArB2r or random.");
    field("scale", self.scale, "How B is scaled: stable, weight_svd, gd_scale or unit.");
    field("stable_gamma", self.stable_gamma, "Gamma of the scale 'stable'.");
  }
  /// Throws: ConfigError.
  void validate() const;
  friend bool operator==(const LoraGAConfig&, const LoraGAConfig&) = default;
};

// No settings are `{}` in a file, as Python writes them.
void read_value(const Json& json, std::optional<LoftQConfig>& value, const FieldPath& path);
Json write_value(const std::optional<LoftQConfig>& value);

}  // namespace peft
