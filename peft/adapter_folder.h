#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "peft/adapter/tuner.h"
#include "peft/tensor/state_dict.h"

namespace peft {

/// The tensors of `adapter_model.safetensors` in an adapter's folder, or of `adapter_model.bin`
/// where there is no other; they may share the mapped file. Throws: NotFoundError, FormatError,
/// UnsupportedError (a pickle of other things than tensors). Source: load_peft_weights in
/// peft/utils/save_and_load.py.
StateDict read_adapter_weights(const std::filesystem::path& folder);

/// Writes adapters (empty: all) as PeftModel.save_pretrained of Python does: each file appears
/// under its name only when it is whole, the weights before the config. Without safe serialization
/// the weights are `adapter_model.bin`; a file of the other kind in the same place is removed,
/// since it would be loaded in its stead or stay behind with old numbers. Throws: NotFoundError
/// (adapter), ConfigError (the path is a file), IoError.
void write_adapter_folder(const Tuner& tuner, const std::filesystem::path& folder,
                          const std::vector<std::string>& adapters, bool safe_serialization = true);

}  // namespace peft
