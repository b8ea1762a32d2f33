#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/tuner.h"

namespace peft {

/// How add_weighted_adapter makes one adapter of several.
struct CombineOptions {
  /// linear, svd, cat, ties, ties_svd, dare_linear, dare_ties, dare_linear_svd, dare_ties_svd,
  /// magnitude_prune or magnitude_prune_svd. `cat` and `svd` are exact (the latter where the rank
  /// is large enough), the others are approximations. One adapter alone is always taken linearly.
  std::string combination_type = "svd";
  std::optional<int64_t> svd_rank = std::nullopt;        // none: the largest rank of the adapters
  std::optional<double> svd_clamp = std::nullopt;        // quantile that the factors are clamped to
  std::optional<std::string> svd_driver = std::nullopt;  // of cuSOLVER; for CUDA only
  std::optional<double> density = std::nullopt;          // needed for ties, dare and pruning
  std::string majority_sign_method = "total";            // or "frequency"; for ties
};

namespace lora {

/// Adds adapter `name`, made of others with weights (a negative one subtracts). It is frozen and
/// not activated.
///
/// Throws: ConfigError (another number of weights, an unknown type, ranks or targets that do not go
/// together, a name that exists), NotFoundError (adapter), UnsupportedError (target_parameters,
/// variants, lora_bias, modules_to_save: their values would be lost). The model is then as it was.
/// Source: LoraModel.add_weighted_adapter in peft/tuners/lora/model.py.
void add_weighted_adapter(Tuner& tuner, const std::vector<std::string>& adapters,
                          const std::vector<double>& weights, const std::string& name,
                          const CombineOptions& options);

}  // namespace lora
}  // namespace peft
