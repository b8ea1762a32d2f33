#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "peft/adapter/tuner.h"
#include "peft/methods/lora/init/settings.h"

namespace peft {

/// One batch of data for EVA.
struct EvaBatch {
  std::function<void()> forward;  // runs the model on the batch
  /// Which positions count, bool [B, T] for layers whose input is [B, T, I]. Undefined: all, of
  /// inputs of any shape [..., I].
  at::Tensor mask = {};
};

/// The positions that count in a batch of text: those that are not padding and, with
/// use_label_mask, have a label. Undefined tensors are left out of account; `input_ids` gives the
/// shape.  all [B, T] -> bool [B, T]
/// Source: prepare_model_inputs_fn_language_modeling in peft/tuners/lora/eva.py.
at::Tensor eva_mask(const at::Tensor& input_ids, const at::Tensor& attention_mask,
                    const at::Tensor& labels, const EvaConfig& config);

/// The components of one module's inputs: how many there are is its rank.
struct EvaComponents {
  std::string module_name;
  at::Tensor components;  // [R, I]; R may be 0
};

/// Called after each batch: layers whose components have been found, and all layers.
using EvaProgress = std::function<void(size_t found, size_t all)>;

/// The principal components of what the adapted linear layers are given, with the ranks dealt out
/// by how much of the variance they explain; the sum of the ranks stays. Batches are taken in turn,
/// again and again, until the components stand still. Adapters are off meanwhile.
///
/// Throws: ConfigError (no batch, batches with fewer positions than components, components that do
/// not stand still).
/// Source: get_eva_state_dict in peft/tuners/lora/eva.py.
std::vector<EvaComponents> get_eva_state_dict(Tuner& tuner, const std::vector<EvaBatch>& batches,
                                              const std::string& adapter = "default",
                                              const EvaProgress& progress = {});

/// Throws ConfigError where an adapter cannot begin with EVA: to be asked before batches are run.
void check_eva_request(const Tuner& tuner, const std::string& adapter);

/// Gives an adapter with init_lora_weights = "eva" these components as its A, and the ranks that
/// they have: a module of rank 0 loses its adapters, and rank_pattern, alpha_pattern and
/// target_modules of the config say so. Layers that EVA does not serve begin as with true.
///
/// Throws: ConfigError (another init_lora_weights, several active adapters, a shape that does not
/// fit); then nothing has changed.
/// Source: initialize_lora_eva_weights in peft/tuners/lora/eva.py.
void initialize_lora_eva_weights(Tuner& tuner, const std::vector<EvaComponents>& components,
                                 const std::string& adapter = "default");

}  // namespace peft
