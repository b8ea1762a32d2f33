#pragma once

#include <filesystem>

#include "peft/tensor/state_dict.h"

namespace peft::formats {

/// The tensors of a file that torch.save wrote, in its order; they share the mapped file, and with
/// each other where they did in Python. Nothing in the file is executed (see parse_torch_file).
/// Throws: NotFoundError, IoError, FormatError, UnsupportedError.
StateDict read_torch_file(const std::filesystem::path& path);

/// Writes tensors as torch.save writes a dictionary of them, readable with weights_only=True. What
/// two names share is written once. The file appears under its name only when it is whole.
/// Throws: ConfigError (a name that is not UTF-8), UnsupportedError (a dtype without a storage;
/// more than 4 GB), IoError. Source: torch/serialization.py.
void write_torch_file(const std::filesystem::path& path, const StateDict& tensors);

}  // namespace peft::formats
