#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <vector>

#include "peft/models/common/language_model.h"

namespace peft {

/// The layers that ranges [begin, end) of `layers` layers name, one after the other.
/// Throws: ConfigError where a range is empty or reaches beyond the layers, or where there is none.
std::vector<int64_t> stacked_order(const LayerRanges& ranges, int64_t layers);

/// Gives a new layer the parameters of another one of its class. Each is a tensor of its own in the
/// same memory, so that an adapter can be put on one of them; biases, which may learn without an
/// adapter, are one tensor for both.
/// Throws: ConfigError where the other layer carries an adapter; then nothing has changed.
/// Source: clone_module with share_weights in peft/tuners/tuners_utils.py.
void share_parameters(const std::shared_ptr<torch::nn::Module>& from,
                      const std::shared_ptr<torch::nn::Module>& to);

}  // namespace peft
