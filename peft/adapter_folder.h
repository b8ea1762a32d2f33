#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "peft/adapter/tuner.h"
#include "peft/tensor/state_dict.h"

namespace peft {

/// The tensors of `adapter_model.safetensors` in an adapter's folder; they may share the mapped
/// file. Throws: NotFoundError, FormatError. Source: load_peft_weights in
/// peft/utils/save_and_load.py.
StateDict read_adapter_weights(const std::filesystem::path& folder);

/// Writes adapters (empty: all) as PeftModel.save_pretrained of Python does: each file appears
/// under its name only when it is whole, the weights before the config. Throws: NotFoundError
/// (adapter), ConfigError (the path is a file), IoError.
void write_adapter_folder(const Tuner& tuner, const std::filesystem::path& folder,
                          const std::vector<std::string>& adapters);

}  // namespace peft
