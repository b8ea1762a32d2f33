#include <ATen/native/CPUBlas.h>

#include <cstring>

#include "peft/tensor/tile_product_internal.h"
#include "peft/tensor/vector_math_internal.h"

namespace peft::kernels {
namespace {

// Rows are read in groups of 16, so that what is written fills whole cache lines.
template <typename T>
PEFT_INLINE void transpose_blocked(const T* in, int64_t stride, int64_t rows, int64_t width,
                                   T* out) {
  constexpr int64_t kSide = 16;
  for (int64_t r = 0; r < rows; r += kSide) {
    const auto height = std::min(kSide, rows - r);
    for (int64_t c = 0; c < width; ++c) {
      for (int64_t i = 0; i < height; ++i) out[c * rows + r + i] = in[(r + i) * stride + c];
    }
  }
}

}  // namespace

void multiply_tile(const TileShape& s, const float* a, const float* b, float* c) {
  at::native::cpublas::brgemm(s.rows, s.columns, s.inner, s.a_stride, s.b_stride, s.c_stride, s.add,
                              a, b, c);
}

void multiply_tile(const TileShape& s, const Bfloat16* a, const Bfloat16* b, float* c) {
  at::native::cpublas::brgemm(s.rows, s.columns, s.inner, s.a_stride, s.b_stride, s.c_stride, s.add,
                              reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c);
}

TileRegisters::~TileRegisters() { at::native::cpublas::brgemm_release(); }

PEFT_CLONES void pack_rows(const float* in, int64_t stride, int64_t rows, int64_t width,
                           float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(out + r * width, in + r * stride, static_cast<size_t>(width) * sizeof(float));
  }
}

PEFT_CLONES void pack_rows(const Bfloat16* in, int64_t stride, int64_t rows, int64_t width,
                           Bfloat16* out) {
  for (int64_t r = 0; r < rows; r += 2) {
    const Bfloat16* __restrict first = in + r * stride;
    const Bfloat16* __restrict second = first + stride;
    Bfloat16* __restrict pairs = out + r * width;
    for (int64_t c = 0; c < width; ++c) {
      pairs[2 * c] = first[c];
      pairs[2 * c + 1] = second[c];
    }
  }
}

PEFT_CLONES void pack_columns(const float* in, int64_t stride, int64_t rows, int64_t width,
                              float* out) {
  transpose_blocked(in, stride, rows, width, out);
}

// Pairs of numbers that lie together stay together.
PEFT_CLONES void pack_columns(const Bfloat16* in, int64_t stride, int64_t rows, int64_t width,
                              Bfloat16* out) {
  transpose_blocked(reinterpret_cast<const uint32_t*>(in), stride / 2, rows, width / 2,
                    reinterpret_cast<uint32_t*>(out));
}

}  // namespace peft::kernels
