// x W or x Wᵀ in float32. A strip of the right side's columns is packed, a few registers wide; a
// tile keeps the sums of some rows over it in registers.
#include <algorithm>
#include <memory>

#include "peft/tensor/float_tile_internal.h"

namespace peft::kernels {
namespace {

// Of a tile. Its sums take 12 of 16 registers, or 24 of the 32 that come with the widest ones.
template <int64_t Lanes>
constexpr int64_t kStripRows = Lanes == 16 ? 8 : 6;
template <int64_t Lanes>
constexpr int64_t kStripVectors = Lanes == 16 ? 3 : 2;
constexpr int64_t kStripDepth = 1024;  // rows in a packed strip

template <int64_t Lanes>
constexpr int64_t kStripWidth = kStripVectors<Lanes>* Lanes;

int64_t all_ranks(const BlockProductTask<float>& t) {
  int64_t ranks = 0;
  for (const RowUpdate<float>& update : t.updates) ranks += update.rank;
  return ranks;
}

// `width` columns of a matrix that lies as the right side does, filled up with zeros to a strip.
template <int64_t Lanes>
PEFT_INLINE void pack_strip(const float* from, int64_t stride, int64_t rows, int64_t width,
                            float* to) {
  if (width < kStripWidth<Lanes>) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < kStripWidth<Lanes>; ++c) {
        to[r * kStripWidth<Lanes> + c] = c < width ? from[r * stride + c] : 0.0F;
      }
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 16
    for (int64_t v = 0; v < kStripVectors<Lanes>; ++v) {
      store_floats<Lanes>(to + (r * kStripVectors<Lanes> + v) * Lanes,
                          load_floats<Lanes>(from + r * stride + v * Lanes));
    }
  }
}

// The same from the right side's transpose: `width` rows of it.
template <int64_t Lanes>
PEFT_INLINE void pack_turned_strip(const float* from, int64_t stride, int64_t rows, int64_t width,
                                   float* to) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < width; ++c) to[r * kStripWidth<Lanes> + c] = from[c * stride + r];
    for (int64_t c = width; c < kStripWidth<Lanes>; ++c) to[r * kStripWidth<Lanes> + c] = 0.0F;
  }
}

// A packed part of W and, behind its last rows, the factors of the updates in their order.
template <int64_t Lanes>
struct Strip {
  float* weight = nullptr;
  float* factors = nullptr;
  int64_t column = 0, width = 0;
  int64_t inner = 0, depth = 0;
};

// Rows `first`.. of the right side, or of a factor that lies as it does.
template <int64_t Lanes>
PEFT_INLINE void pack_rows_of(const BlockProductTask<float>& t, const Strip<Lanes>& s,
                              const float* from, int64_t stride, int64_t first, int64_t rows,
                              float* to) {
  if (t.transposed) {
    pack_turned_strip<Lanes>(from + s.column * stride + first, stride, rows, s.width, to);
  } else {
    pack_strip<Lanes>(from + first * stride + s.column, stride, rows, s.width, to);
  }
}

template <int64_t Lanes>
PEFT_INLINE void pack_part(const BlockProductTask<float>& t, const Strip<Lanes>& s) {
  pack_rows_of<Lanes>(t, s, t.weight, t.weight_stride, s.inner, s.depth, s.weight);
  if (s.inner + s.depth < t.inner) return;
  float* to = s.factors;
  for (const RowUpdate<float>& update : t.updates) {
    pack_rows_of<Lanes>(t, s, update.factor, update.factor_stride, 0, update.rank, to);
    to += update.rank * kStripWidth<Lanes>;
  }
}

template <int64_t Lanes, int64_t Rows>
struct StripSums {
  Floats<Lanes> sums[Rows][kStripVectors<Lanes>] = {};

  PEFT_INLINE void add(const float* __restrict x, int64_t x_stride, const float* __restrict strip,
                       int64_t count) {
    for (int64_t k = 0; k < count; ++k) {
      Floats<Lanes> right[kStripVectors<Lanes>];
#pragma GCC unroll 16
      for (int64_t v = 0; v < kStripVectors<Lanes>; ++v) {
        right[v] = load_floats<Lanes>(strip + (k * kStripVectors<Lanes> + v) * Lanes);
      }
#pragma GCC unroll 16
      for (int64_t r = 0; r < Rows; ++r) {
        const float left = x[r * x_stride + k];
#pragma GCC unroll 16
        for (int64_t v = 0; v < kStripVectors<Lanes>; ++v) sums[r][v] += left * right[v];
      }
    }
  }
};

// A row of sums into the result: whole vectors, or the columns that there are.
template <int64_t Lanes>
PEFT_INLINE void store_strip(const BlockProductTask<float>& t, const Strip<Lanes>& s,
                             const Floats<Lanes>* sums, float* out) {
  const bool begins = s.inner == 0, ends = s.inner + s.depth == t.inner;
  const float* bias = ends && t.bias != nullptr ? t.bias + s.column : nullptr;
  const float scale = ends ? t.scale : 1.0F;
  if (s.width == kStripWidth<Lanes>) {
#pragma GCC unroll 16
    for (int64_t v = 0; v < kStripVectors<Lanes>; ++v) {
      float* to = out + v * Lanes;
      Floats<Lanes> sum = begins ? sums[v] : sums[v] + load_floats<Lanes>(to);
      sum = sum * scale;
      if (bias != nullptr) sum += load_floats<Lanes>(bias + v * Lanes);
      store_floats<Lanes>(to, sum);
    }
    return;
  }
  float row[kStripWidth<Lanes>];
  std::memcpy(row, sums, sizeof(row));
  for (int64_t c = 0; c < s.width; ++c) {
    const float sum = (begins ? row[c] : out[c] + row[c]) * scale;
    out[c] = bias == nullptr ? sum : sum + bias[c];
  }
}

// Rows of one run; the last tile reaches back over rows that are done.
template <int64_t Lanes, int64_t Rows>
PEFT_INLINE void strip_rows(const BlockProductTask<float>& t, const Strip<Lanes>& s,
                            const RowRun& run, const float* factor) {
  const bool updates = run.update != nullptr && s.inner + s.depth == t.inner;
  for (auto row = run.first; row < run.last; row += Rows) {
    const auto begin = std::min(row, run.last - Rows);
    StripSums<Lanes, Rows> tile;
    tile.add(t.x + begin * t.x_stride + s.inner, t.x_stride, s.weight, s.depth);
    if (updates) tile.add(t.low + begin * t.low_stride, t.low_stride, factor, run.update->rank);
#pragma GCC unroll 16
    for (int64_t r = 0; r < Rows; ++r) {
      if (begin + r < row) continue;
      store_strip<Lanes>(t, s, tile.sums[r], t.out + (begin + r) * t.out_stride + s.column);
    }
  }
}

template <int64_t Lanes>
PEFT_INLINE void strip_part(const BlockProductTask<float>& t, const Strip<Lanes>& s) {
  const float* factor = s.factors;
  const RowUpdate<float>* next = t.updates.data();
  RowRuns runs(t);
  for (RowRun run; runs.next(run);) {
    if (run.update != nullptr) {
      for (; next < run.update; ++next) factor += next->rank * kStripWidth<Lanes>;
    }
    if (run.last - run.first >= kStripRows<Lanes>) {
      strip_rows<Lanes, kStripRows<Lanes>>(t, s, run, factor);
    } else {
      strip_rows<Lanes, 1>(t, s, run, factor);
    }
  }
}

template <int64_t Lanes>
PEFT_INLINE void strips(const BlockProductTask<float>& t) {
  const auto depth = std::min(kStripDepth, t.inner);
  const auto numbers = static_cast<size_t>((depth + all_ranks(t)) * kStripWidth<Lanes>);
  const std::unique_ptr<float[]> buffer(new float[numbers]);
  Strip<Lanes> strip{.weight = buffer.get(), .factors = buffer.get() + depth * kStripWidth<Lanes>};
  for (auto column = t.first_column; column < t.last_column; column += kStripWidth<Lanes>) {
    strip.column = column;
    strip.width = std::min(kStripWidth<Lanes>, t.last_column - column);
    for (int64_t inner = 0; inner < t.inner; inner += kStripDepth) {
      strip.inner = inner;
      strip.depth = std::min(kStripDepth, t.inner - inner);
      pack_part<Lanes>(t, strip);
      strip_part<Lanes>(t, strip);
    }
  }
}

}  // namespace

PEFT_BY_REGISTER_WIDTH(strip_product, strips)

}  // namespace peft::kernels
