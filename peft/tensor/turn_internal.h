#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "peft/tensor/vector_math_internal.h"

/// Transposes of numbers of 32 bits, or pairs of numbers of 16, a square at a time in the vector
/// registers. Private to the files of kernels.
namespace peft::kernels {

/// A row of a square: as many numbers as a register of the processor holds.
template <int64_t Side>
struct SquareRow {
  using Type __attribute__((vector_size(Side * sizeof(uint32_t)))) = uint32_t;
};

// Exchanges the upper right and the lower left block of side D in each block of side 2 D.
template <int64_t D, int64_t... Lane>
PEFT_INLINE void exchange_blocks(auto& upper, auto& lower,
                                 std::integer_sequence<int64_t, Lane...> /*lanes*/) {
  constexpr int64_t kSide = sizeof...(Lane);
  const auto left =
      __builtin_shufflevector(upper, lower, ((Lane & D) != 0 ? kSide + Lane - D : Lane)...);
  lower = __builtin_shufflevector(upper, lower, ((Lane & D) != 0 ? kSide + Lane : Lane + D)...);
  upper = left;
}

template <int64_t Side, int64_t D>
PEFT_INLINE void exchange_rows(typename SquareRow<Side>::Type* rows) {
  if constexpr (D > 0) {
#pragma GCC unroll 16
    for (int64_t i = 0; i < Side; ++i) {
      if ((i & D) == 0) {
        exchange_blocks<D>(rows[i], rows[i + D], std::make_integer_sequence<int64_t, Side>{});
      }
    }
    exchange_rows<Side, D / 2>(rows);
  }
}

template <int64_t Side>
PEFT_INLINE void turn_square(const uint32_t* in, int64_t in_stride, uint32_t* out,
                             int64_t out_stride) {
  typename SquareRow<Side>::Type rows[Side];
#pragma GCC unroll 16
  for (int64_t i = 0; i < Side; ++i) std::memcpy(&rows[i], in + i * in_stride, sizeof(rows[i]));
  exchange_rows<Side, Side / 2>(rows);
#pragma GCC unroll 16
  for (int64_t i = 0; i < Side; ++i) std::memcpy(out + i * out_stride, &rows[i], sizeof(rows[i]));
}

/// [rows, width] -> [width, rows]; strides count numbers between the rows of each.
template <int64_t Side>
PEFT_INLINE void turn(const uint32_t* in, int64_t in_stride, int64_t rows, int64_t width,
                      uint32_t* out, int64_t out_stride) {
  for (int64_t r = 0; r < rows; r += Side) {
    for (int64_t c = 0; c < width; c += Side) {
      const uint32_t* from = in + r * in_stride + c;
      uint32_t* to = out + c * out_stride + r;
      const auto height = std::min(Side, rows - r), across = std::min(Side, width - c);
      if (height == Side && across == Side) {
        turn_square<Side>(from, in_stride, to, out_stride);
        continue;
      }
      for (int64_t j = 0; j < across; ++j) {
        for (int64_t i = 0; i < height; ++i) to[j * out_stride + i] = from[i * in_stride + j];
      }
    }
  }
}

}  // namespace peft::kernels
