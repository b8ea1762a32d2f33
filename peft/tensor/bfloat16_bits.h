#pragma once

#include <cstdint>

namespace peft::kernels {

/// Bits of a bfloat16 number.
struct Bfloat16 {
  uint16_t bits;
};

}  // namespace peft::kernels
