#pragma once

#include <ATen/core/Tensor.h>

#include "peft/adapter/site.h"
#include "peft/methods/lora/config.h"

namespace peft::lora {

/// What a new adapter begins with where that depends on the base weight or on statistics.
struct InitialValues {
  at::Tensor a = {}, b = {};  // of LoraAdapter; undefined: as they were drawn
  at::Tensor weight = {};     // what is left of the base weight, in its type and orientation;
                              // undefined: the base stays as it is
};

/// Computes them; nothing is written. `weight` is the plain base weight as it is stored, `rank` and
/// `scaling` are the site's own.
///
/// Throws: ConfigError where the way of beginning does not fit the site's kind, the weight's type
/// or the rank, or where preprocessing has not been run.
/// Source: update_layer of LoraLayer, Embedding and _ConvNd in peft/tuners/lora/layer.py.
InitialValues initial_values(const LoraConfig& config, const Site& site, int64_t rank,
                             double scaling, const at::Tensor& weight);

}  // namespace peft::lora
