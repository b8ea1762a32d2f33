// x Wᵀ in float32. Rows of both lie along the sum, so nothing is packed: a tile keeps the sums of a
// few rows with a few rows of W in registers, lane by lane, and adds the lanes up at its end.
#include <algorithm>

#include "peft/tensor/float_tile_internal.h"

namespace peft::kernels {
namespace {

// Of a tile. Its sums take 12 of 16 registers, or 20 of the 32 that come with the widest ones.
constexpr int64_t kDotRows = 4;
template <int64_t Lanes>
constexpr int64_t kDotColumns = Lanes == 16 ? 5 : 3;
constexpr int64_t kDotBlock = 24;    // rows of W that stay in the cache
constexpr int64_t kDotDepth = 1024;  // numbers of a row that do

// Where a tile lies, and what of it is new: a tile at the edge reaches back over its neighbour.
struct DotTile {
  int64_t row = 0, column = 0;
  int64_t old_rows = 0, old_columns = 0;
  int64_t inner = 0, depth = 0;
  const RowUpdate<float>* update = nullptr;
};

template <int64_t Lanes, int64_t Rows, int64_t Columns>
struct DotSums {
  Floats<Lanes> lanes[Rows][Columns] = {};
  float rest[Rows][Columns] = {};

  PEFT_INLINE void add(const float* __restrict x, int64_t x_stride, const float* __restrict w,
                       int64_t w_stride, int64_t count) {
    int64_t i = 0;
    for (; i + Lanes <= count; i += Lanes) {
      Floats<Lanes> right[Columns];
#pragma GCC unroll 8
      for (int64_t c = 0; c < Columns; ++c) right[c] = load_floats<Lanes>(w + c * w_stride + i);
#pragma GCC unroll 8
      for (int64_t r = 0; r < Rows; ++r) {
        const Floats<Lanes> left = load_floats<Lanes>(x + r * x_stride + i);
#pragma GCC unroll 8
        for (int64_t c = 0; c < Columns; ++c) lanes[r][c] += left * right[c];
      }
    }
    for (; i < count; ++i) {
      for (int64_t r = 0; r < Rows; ++r) {
        for (int64_t c = 0; c < Columns; ++c)
          rest[r][c] += x[r * x_stride + i] * w[c * w_stride + i];
      }
    }
  }
};

// Halves added to each other until four lanes are left.
PEFT_INLINE Floats<4> four_lanes(Floats<4> v) { return v; }
PEFT_INLINE Floats<4> four_lanes(Floats<8> v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
}
PEFT_INLINE Floats<4> four_lanes(Floats<16> v) {
  return four_lanes(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                    __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
}

// The sum of each of four vectors.
PEFT_INLINE Floats<4> lane_sums(Floats<4> a, Floats<4> b, Floats<4> c, Floats<4> d) {
  const Floats<4> ab =
      __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
  const Floats<4> cd =
      __builtin_shufflevector(c, d, 0, 4, 2, 6) + __builtin_shufflevector(c, d, 1, 5, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

template <int64_t Lanes, int64_t Rows, int64_t Columns>
PEFT_INLINE void column_sums(const DotSums<Lanes, Rows, Columns>& sums, int64_t c, float* out) {
  Floats<4> four[kDotRows] = {};
#pragma GCC unroll 8
  for (int64_t r = 0; r < Rows; ++r) four[r] = four_lanes(sums.lanes[r][c]);
  const Floats<4> all = lane_sums(four[0], four[1], four[2], four[3]);
#pragma GCC unroll 8
  for (int64_t r = 0; r < Rows; ++r) out[r] = all[r] + sums.rest[r][c];
}

template <int64_t Lanes, int64_t Rows, int64_t Columns>
PEFT_INLINE void dot_tile(const BlockProductTask<float>& t, const DotTile& tile) {
  DotSums<Lanes, Rows, Columns> sums;
  sums.add(t.x + tile.row * t.x_stride + tile.inner, t.x_stride,
           t.weight + tile.column * t.weight_stride + tile.inner, t.weight_stride, tile.depth);
  const bool begins = tile.inner == 0, ends = tile.inner + tile.depth == t.inner;
  if (ends && tile.update != nullptr) {
    const RowUpdate<float>& update = *tile.update;
    sums.add(t.low + tile.row * t.low_stride, t.low_stride,
             update.factor + tile.column * update.factor_stride, update.factor_stride, update.rank);
  }
  float* out = t.out + tile.row * t.out_stride + tile.column;
#pragma GCC unroll 8
  for (int64_t c = 0; c < Columns; ++c) {
    if (c < tile.old_columns) continue;
    float column[Rows];
    column_sums(sums, c, column);
    const float offset = ends && t.bias != nullptr ? t.bias[tile.column + c] : 0.0F;
    for (int64_t r = tile.old_rows; r < Rows; ++r) {
      float& to = out[r * t.out_stride + c];
      const float sum = begins ? column[r] : to + column[r];
      to = ends ? sum * t.scale + offset : sum;
    }
  }
}

template <int64_t Lanes, int64_t Rows, int64_t Columns>
PEFT_INLINE void dot_tiles(const BlockProductTask<float>& t, DotTile tile, int64_t first,
                           int64_t last) {
  for (auto column = first; column < last; column += Columns) {
    tile.column = std::min(column, last - Columns);
    tile.old_columns = column - tile.column;
    dot_tile<Lanes, Rows, Columns>(t, tile);
  }
}

template <int64_t Lanes, int64_t Rows>
PEFT_INLINE void dot_rows(const BlockProductTask<float>& t, const RowRun& run, DotTile tile,
                          int64_t first, int64_t last) {
  tile.update = run.update;
  for (auto row = run.first; row < run.last; row += Rows) {
    tile.row = std::min(row, run.last - Rows);
    tile.old_rows = row - tile.row;
    if (last - first >= kDotColumns<Lanes>) {
      dot_tiles<Lanes, Rows, kDotColumns<Lanes>>(t, tile, first, last);
    } else {
      dot_tiles<Lanes, Rows, 1>(t, tile, first, last);
    }
  }
}

template <int64_t Lanes>
PEFT_INLINE void dot_blocks(const BlockProductTask<float>& t) {
  for (auto first = t.first_column; first < t.last_column; first += kDotBlock) {
    const auto last = std::min(first + kDotBlock, t.last_column);
    for (int64_t inner = 0; inner < t.inner; inner += kDotDepth) {
      const DotTile tile{.inner = inner, .depth = std::min(kDotDepth, t.inner - inner)};
      RowRuns runs(t);
      for (RowRun run; runs.next(run);) {
        if (run.last - run.first >= kDotRows) {
          dot_rows<Lanes, kDotRows>(t, run, tile, first, last);
        } else {
          dot_rows<Lanes, 1>(t, run, tile, first, last);
        }
      }
    }
  }
}

}  // namespace

PEFT_BY_REGISTER_WIDTH(dot_product, dot_blocks)

}  // namespace peft::kernels
