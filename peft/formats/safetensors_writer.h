#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "peft/tensor/state_dict.h"

namespace peft::formats {

using Metadata = std::vector<std::pair<std::string, std::string>>;

/// Writes the tensors as one safetensors file, atomically and byte for byte as Python's
/// `safetensors.torch.save_file` does. Tensors may be on any device, strided or share memory: each
/// is written whole.
/// Throws: IoError (nothing is left behind, an older file stays), UnsupportedError (dtype),
/// ConfigError (a name that no reader would take).
/// Source: prepare() in safetensors/src/tensor.rs.
void write_safetensors(const std::filesystem::path& path, const StateDict& tensors,
                       const Metadata& metadata = {{"format", "pt"}});

}  // namespace peft::formats
