#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "peft/tensor/state_dict.h"

namespace peft::formats {

using Metadata = std::vector<std::pair<std::string, std::string>>;

/// Gives the value that is written for a tensor, of the same shape and type; it lives only until it
/// is written.
using ValueOf = std::function<at::Tensor(const std::string& name, const at::Tensor& tensor)>;

/// Writes the tensors as one safetensors file, atomically and byte for byte as Python's
/// `safetensors.torch.save_file` does. Tensors may be on any device, strided or share memory: each
/// is written whole. With `value_of` its answers are written in the tensors' stead.
/// Throws: IoError (nothing is left behind, an older file stays), UnsupportedError (dtype),
/// ConfigError (a name that no reader would take, a value of another shape or type); what
/// `value_of` throws.
/// Source: prepare() in safetensors/src/tensor.rs.
void write_safetensors(const std::filesystem::path& path, const StateDict& tensors,
                       const Metadata& metadata = {{"format", "pt"}}, const ValueOf& value_of = {});

}  // namespace peft::formats
