#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "peft/models/common/config_reader.h"

namespace peft {

/// An activation function, element by element.
using Activation = at::Tensor (*)(const at::Tensor&);

/// The activation function that a config names.
/// Throws: UnsupportedError that lists the known names, ConfigError where it is no name.
/// Source: transformers/activations.py, ACT2FN.
Activation read_activation(const ConfigReader& reader, const std::string& key,
                           const std::string& fallback);

}  // namespace peft
