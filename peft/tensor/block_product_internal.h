#pragma once

#include <cstdint>
#include <span>

#include "peft/tensor/bfloat16_bits.h"

namespace peft::kernels {

/// Columns of the weight that are packed at a time: two pairs of the processor's tiles, and the
/// usual widths of models are multiples of it.
constexpr int64_t kPanel = 64;

/// An update of low rank for rows that follow each other.
template <typename T>
struct RowUpdate {
  int64_t first_row = 0, last_row = 0;
  const T* factor = nullptr;
  int64_t factor_stride = 0, rank = 0;
};

/// A rectangle of a BlockProduct's result, for one thread. Strides count numbers between rows.
template <typename T>
struct BlockProductTask {
  const T *x = nullptr, *weight = nullptr, *low = nullptr, *bias = nullptr;
  T* out = nullptr;
  float* float_out = nullptr;  // in the place of `out`: sums that are not rounded
  int64_t x_stride = 0, weight_stride = 0, low_stride = 0, out_stride = 0;
  int64_t inner = 0, columns = 0;              // K, M
  std::span<const RowUpdate<T>> updates = {};  // in the order of their rows; others get none
  int64_t first_row = 0, last_row = 0, first_column = 0, last_column = 0;
  bool transposed = false;
  float scale = 1;
};
/// bfloat16 goes through the processor's products of pairs, float32 through tiles
/// of registers: strip_product packs the weight, dot_product (transposed only) reads it as it lies.
void block_product(const BlockProductTask<float>& task);
void block_product(const BlockProductTask<Bfloat16>& task);
void dot_product(const BlockProductTask<float>& task);
void strip_product(const BlockProductTask<float>& task);

/// The same for so few rows that reading the weight is all the work: nothing is packed, and
/// bfloat16 needs no instructions of its own. Transposed products with one update for all rows, or
/// none.
void few_rows_product(const BlockProductTask<float>& task);
void few_rows_product(const BlockProductTask<Bfloat16>& task);

}  // namespace peft::kernels
