#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <vector>

#include "peft/adapter/model_tree.h"
#include "peft/base/json.h"

namespace peft {

/// Members of a wrapped model by their dotted names, with or without Python's prefix
/// "base_model.model.": what attribute access on a PeftModel is in Python. Adapters' parameters are
/// found under the names of the tree ("fc1.lora_A.default.weight"). All throw NotFoundError with
/// the closest names.
///
/// Source: PeftModel.__getattr__ in peft/peft_model.py, get_submodule and get_parameter of
/// torch.nn.Module.

/// A module of the model or of its adapters; of a scripted model, of its adapters only.
std::shared_ptr<torch::nn::Module> find_submodule(const ModelTree& tree, const std::string& name);

/// A parameter as it is registered: tagged where it is adapted (see peft::base).
at::Tensor find_parameter(const ModelTree& tree, const std::string& name);

/// A buffer as it is registered.
at::Tensor find_buffer(const ModelTree& tree, const std::string& name);

/// The base model's config.json; an empty object for a model that has none.
Json base_model_config(const ModelTree& tree);

/// One of its values.
Json find_config_value(const ModelTree& tree, const std::string& key);

}  // namespace peft
