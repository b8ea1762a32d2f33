#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace peft::formats {

/// One way in which GGUF stores numbers: blocks of `elements` numbers in `bytes` bytes each.
struct GgufType {
  uint32_t id = 0;
  std::string_view name;
  uint32_t elements = 1;
  uint32_t bytes = 0;
  bool quantised = false;
  /// Unpacks `blocks` blocks; null where this library only knows the size.
  void (*unpack)(const std::byte* in, size_t blocks, float* out) = nullptr;
};

/// The type of that number in the file; nullptr where it is unknown.
/// Source: GGMLQuantizationType and GGML_QUANT_SIZES in gguf/constants.py.
const GgufType* find_gguf_type(uint32_t id);

}  // namespace peft::formats
