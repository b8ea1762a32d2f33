#pragma once

#include <cstdint>

#include "peft/tensor/bfloat16_bits.h"

/// Products of small dense blocks that lie in the cache, on libtorch's own machine code for them
/// (brgemm), and the orders of numbers that they want. One thread a call.
namespace peft::kernels {

/// C [rows, columns] = A [rows, inner] B [inner, columns] (+ C); strides count numbers between
/// rows.
struct TileShape {
  int64_t rows = 0, columns = 0, inner = 0;
  int64_t a_stride = 0, b_stride = 0, c_stride = 0;
  bool add = false;
};

/// B is packed by pack_rows or pack_columns; `inner` even where the numbers are bfloat16. Each
/// shape costs a moment of compilation when it first comes, so callers keep to few of them.
void multiply_tile(const TileShape& shape, const float* a, const float* b, float* c);
void multiply_tile(const TileShape& shape, const Bfloat16* a, const Bfloat16* b, float* c);

/// Holds the processor's tile registers for the products of this thread until its end. Whoever
/// calls multiply_tile has one: libtorch's other products set these registers for themselves, and a
/// block that is multiplied afterwards with the wrong setting kills the process.
class TileRegisters {
 public:
  TileRegisters() = default;
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
  ~TileRegisters();
};

/// The right side of a product from its own rows [rows, width]. Rows 2i and 2i + 1 of bfloat16
/// numbers become pairs; an odd row at the end, pairs with zeros.
void pack_rows(const float* in, int64_t stride, int64_t rows, int64_t width, float* out);
void pack_rows(const Bfloat16* in, int64_t stride, int64_t rows, int64_t width, Bfloat16* out);

/// The right side [width, rows] of a product from its transpose [rows, width]; `stride` and `width`
/// even for bfloat16.
void pack_columns(const float* in, int64_t stride, int64_t rows, int64_t width, float* out);
void pack_columns(const Bfloat16* in, int64_t stride, int64_t rows, int64_t width, Bfloat16* out);

/// [rows, width] -> [width, rows]
template <typename T>
void transpose(const T* in, int64_t stride, int64_t rows, int64_t width, T* out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < width; ++c) out[c * rows + r] = in[r * stride + c];
  }
}

}  // namespace peft::kernels
