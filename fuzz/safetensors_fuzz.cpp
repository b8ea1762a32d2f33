// Any bytes give a header whose ranges lie inside the file, or a FormatError.

#include <cstdint>
#include <cstdlib>
#include <span>

#include "peft/base/error.h"
#include "peft/formats/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    uint64_t covered = 0;
    for (const auto& entry : peft::formats::parse_safetensors_header(bytes, "input").tensors) {
      if (entry.begin > entry.end || entry.end > size) std::abort();
      covered += entry.end - entry.begin;
    }
    if (covered > size) std::abort();
  } catch (const peft::FormatError&) {
    return 0;
  }
  return 0;
}
