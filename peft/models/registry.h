#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "peft/models/common/language_model.h"

namespace peft {

/// How a model is built.
struct ModelOptions {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

/// Builds the model that a checkpoint's config.json describes. Its parameters hold no values yet
/// and require no gradient: give them some with load_weights. Throws: UnsupportedError that lists
/// the known model types; ConfigError (a wrong config).
LanguageModel make_language_model(const Json& config, const ModelOptions& options = {});

/// Every `model_type` that make_language_model knows, in the order of families.def.
std::vector<std::string> known_model_types();

}  // namespace peft
