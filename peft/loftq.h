#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "peft/peft_model.h"

namespace peft {

/// Called after each replacement with the module's name; false takes it back.
using LoftqCallback = std::function<bool(PeftModel& model, const std::string& module)>;

/// Gives an adapter the values that make up best for what quantising took from its base: for every
/// adapted linear layer B A is the nearest matrix of the adapter's rank to the difference between
/// the checkpoint's weight and the model's. The model holds the quantised values as plain numbers:
/// those of a quantised GGUF file, or NF4 ones put back into float32. As in Python the adapter's
/// scaling is left out of it: choose lora_alpha = r.
///
/// `model_path`: a safetensors file, or a folder with model.safetensors or its shards; nullopt: the
/// folder that the base was loaded from. Keys may lack the first part of the modules'
/// names. A callback that compares outputs before and after keeps only what helps.
///
/// Throws: NotFoundError (the adapter, a file, a key), MismatchError (a shape), UnsupportedError
/// (the model's weights are the checkpoint's own: nothing was quantised; a variant of LoRA),
/// ConfigError (no linear layer has the adapter; it is merged). Nothing has changed then.
/// Source: Li et al., arXiv:2310.08659; replace_lora_weights_loftq in peft/utils/loftq_utils.py.
void replace_lora_weights_loftq(PeftModel& model,
                                const std::optional<std::filesystem::path>& model_path = {},
                                const std::string& adapter_name = "default",
                                const LoftqCallback& callback = {});

}  // namespace peft
