#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace peft::formats {

/// Where one tensor lies in a safetensors file.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // the file's word: "BF16"
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes from the start of the file
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;                      // in the order of their bytes
  std::vector<std::pair<std::string, std::string>> metadata;  // "__metadata__"
};

/// Bits that one number of that dtype takes; 0 for an unknown word.
uint32_t safetensors_bits(std::string_view dtype);

/// Reads and checks the header of a whole file: afterwards every range lies inside the file, fits
/// its shape and dtype, and the ranges cover the data without holes or overlaps. Throws:
/// FormatError. Source: Metadata::validate in safetensors/src/tensor.rs;
/// docs/formats/safetensors.md.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, std::string_view where);

}  // namespace peft::formats
