#include <ATen/native/CPUBlas.h>

#include <cstring>

#include "peft/tensor/tile_product_internal.h"
#include "peft/tensor/turn_internal.h"

namespace peft::kernels {
namespace {

__attribute__((target("arch=x86-64-v4"))) void turn_16(const uint32_t* in, int64_t stride,
                                                       int64_t rows, int64_t width, uint32_t* out) {
  turn<16>(in, stride, rows, width, out, rows);
}

__attribute__((target("arch=x86-64-v3"))) void turn_8(const uint32_t* in, int64_t stride,
                                                      int64_t rows, int64_t width, uint32_t* out) {
  turn<8>(in, stride, rows, width, out, rows);
}

void turn_all(const uint32_t* in, int64_t stride, int64_t rows, int64_t width, uint32_t* out) {
  static const int64_t lanes = register_lanes();
  if (lanes == 16) return turn_16(in, stride, rows, width, out);
  if (lanes == 8) return turn_8(in, stride, rows, width, out);
  turn<4>(in, stride, rows, width, out, rows);
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

// Two rows become one of pairs: written as whole pairs, for halves would be stored one by one.
PEFT_CLONES void pack_rows(const Bfloat16* in, int64_t stride, int64_t rows, int64_t width,
                           Bfloat16* out) {
  for (int64_t r = 0; r < rows; r += 2) {
    const Bfloat16* __restrict first = in + r * stride;
    const Bfloat16* __restrict second = first + stride;
    auto* __restrict pairs = reinterpret_cast<uint32_t*>(out + r * width);
    if (r + 1 == rows) {
      for (int64_t c = 0; c < width; ++c) pairs[c] = first[c].bits;
      return;
    }
    for (int64_t c = 0; c < width; ++c) {
      pairs[c] = first[c].bits | static_cast<uint32_t>(second[c].bits) << 16;
    }
  }
}

void pack_columns(const float* in, int64_t stride, int64_t rows, int64_t width, float* out) {
  turn_all(reinterpret_cast<const uint32_t*>(in), stride, rows, width,
           reinterpret_cast<uint32_t*>(out));
}

// Pairs of numbers that lie together stay together.
void pack_columns(const Bfloat16* in, int64_t stride, int64_t rows, int64_t width, Bfloat16* out) {
  turn_all(reinterpret_cast<const uint32_t*>(in), stride / 2, rows, width / 2,
           reinterpret_cast<uint32_t*>(out));
}

}  // namespace peft::kernels
