#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace peft::formats {

/// Where one tensor lies in a file of torch.save. Tensors may share bytes.
struct TorchFileEntry {
  std::string name;
  std::string dtype;                   // safetensors' word: "BF16"
  std::vector<int64_t> shape, stride;  // stride: elements between neighbours of a dimension
  uint64_t begin = 0, end = 0;         // bytes from the start of the file, first to last element
};

/// Reads and checks a state dict that torch.save wrote (`adapter_model.bin`): a dictionary of names
/// to dense tensors. Nothing in it is executed. Afterwards every range lies inside its storage and
/// every storage inside the file, and no tensor has more elements than its storage. Throws:
/// FormatError; UnsupportedError (the format before PyTorch 1.6, big-endian bytes, what is no
/// tensor or has more elements than bytes). Source: torch/serialization.py, torch/_utils.py;
/// docs/formats/torch_file.md.
std::vector<TorchFileEntry> parse_torch_file(std::span<const std::byte> file,
                                             std::string_view where);

/// The class by which torch.save names a storage ("FloatStorage" for "F32"); empty for types that
/// are saved with an untyped storage.
std::string_view torch_storage_name(std::string_view dtype);

/// The name of a dtype that is saved with an untyped storage ("float8_e4m3fn" for "F8_E4M3"); empty
/// for the others.
std::string_view torch_untyped_name(std::string_view dtype);

}  // namespace peft::formats
