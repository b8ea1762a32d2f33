#pragma once

#include <algorithm>
#include <bit>
#include <cmath>

#include "peft/tensor/bfloat16_bits.h"

/// What the files of kernels share: private to them, as the loops only become vector instructions
/// with their compile options.

// Every public function is compiled three times and chosen by the loader; what it calls is inlined,
// as a separate function would be compiled for the oldest processor alone.
#define PEFT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define PEFT_INLINE inline __attribute__((always_inline))

namespace peft::kernels {

// Partial sums that the compiler can keep in vector registers: floating-point addition must not be
// reordered behind the programmer's back, so the order is spelled out.
constexpr int64_t kLanes = 16;

// Numbers of float32 that a register of this processor holds.
inline int64_t register_lanes() {
  if (__builtin_cpu_supports("x86-64-v4")) return 16;
  return __builtin_cpu_supports("x86-64-v3") ? 8 : 4;
}

PEFT_INLINE float load(float x) { return x; }
PEFT_INLINE float load(Bfloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}

PEFT_INLINE void store(float& to, float x) { to = x; }
PEFT_INLINE void store(Bfloat16& to, float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  to.bits = static_cast<uint16_t>(x != x ? 0x7fc0U : rounded);
}

// Rounds to the precision of T and stays a float.
PEFT_INLINE float rounded(float x, const float*) { return x; }
PEFT_INLINE float rounded(float x, const Bfloat16*) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U);
}

// e^x to about two units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2].
PEFT_INLINE float exponential(float given) {
  const float x = std::min(std::max(given, -87.0F), 88.0F);
  const float shifted = x * 1.44269504F + 12582912.0F;  // rounds to an integer in the low bits
  const float n = shifted - 12582912.0F;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const auto power = (static_cast<int32_t>(n) + 127) << 23;
  return p * std::bit_cast<float>(power);
}

// By halves, as each of 16 additions in a row would wait for the one before.
PEFT_INLINE float total(const float* given) {
  float lanes[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) lanes[i] = given[i];
  for (int64_t i = 0; i < 8; ++i) lanes[i] += lanes[i + 8];
  for (int64_t i = 0; i < 4; ++i) lanes[i] += lanes[i + 4];
  return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

}  // namespace peft::kernels
