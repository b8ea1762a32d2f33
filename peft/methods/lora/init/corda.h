#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "peft/adapter/model_facts.h"
#include "peft/adapter/model_tree.h"
#include "peft/methods/lora/config.h"
#include "peft/tensor/state_dict.h"

namespace peft::lora {

/// The mean of XᵀX over the calls of each layer that the config targets, by module names: X is a
/// call's input, divided by its largest number's magnitude. `run_model` runs the model on the data,
/// one row of a batch at a time.  x [1, T, I] or [T, I] -> [I, I]
///
/// Throws: ConfigError (an input that is not finite or of several rows, a layer that is never
/// called, no layer).
/// Source: calib_cov_distribution in peft/tuners/lora/corda.py.
StateDict corda_covariances(const ModelTree& tree, const ModelFacts& facts,
                            const LoraConfig& config, const std::function<void()>& run_model);

/// The components of W C that the adapter is to get, for a weight [O, I] and a covariance [I, I].
/// Throws: ConfigError where the rank is larger than the weight's smaller side.
/// Source: collect_eigens_for_layer, crop_corda_eigens in peft/tuners/lora/corda.py.
CordaEigens corda_eigens(const at::Tensor& weight, const at::Tensor& covariance, int64_t rank,
                         const std::string& method);

/// Finds the components of every layer that the config targets and puts them into
/// `config.statistics`, where the next adapter with this config takes them from.
/// Throws: ConfigError where a covariance is missing.
void collect_corda_eigens(const ModelTree& tree, const ModelFacts& facts, LoraConfig& config,
                          const StateDict& covariances);

/// The components as tensors to be kept, and back: "<module>.eigens.S_WC" and so on.
StateDict corda_cache(const InitStatistics& statistics);
/// Throws: NotFoundError where a targeted layer is missing.
void restore_corda_cache(const ModelTree& tree, const ModelFacts& facts, LoraConfig& config,
                         const StateDict& cache);

}  // namespace peft::lora
