#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "peft/tensor/block_product_internal.h"
#include "peft/tensor/tile_product_internal.h"
#include "peft/tensor/vector_math_internal.h"

namespace peft::kernels {
namespace {

constexpr int64_t kRows = 64;     // of the result in one tile
constexpr int64_t kInner = 2048;  // depth of a packed panel
constexpr int64_t kStep = 8;      // a lower tile is filled up with zeros to a multiple of this

// One tile of sums becomes a part of the result.
template <typename T>
struct TileStore {
  const float* sums = nullptr;     // [rows, columns]
  const Bfloat16* bias = nullptr;  // [columns]
  T* out = nullptr;
  int64_t rows = 0, columns = 0, out_stride = 0;
  float scale = 1;
};

template <typename T>
PEFT_INLINE void store_sums(const TileStore<T>& tile) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    const float* __restrict sums = tile.sums + r * tile.columns;
    T* __restrict out = tile.out + r * tile.out_stride;
    if (tile.bias != nullptr) {
      const Bfloat16* __restrict bias = tile.bias;
      for (int64_t c = 0; c < tile.columns; ++c)
        store(out[c], sums[c] * tile.scale + load(bias[c]));
    } else {
      for (int64_t c = 0; c < tile.columns; ++c) store(out[c], sums[c] * tile.scale);
    }
  }
}

PEFT_CLONES void store_tile(const TileStore<Bfloat16>& tile) { store_sums(tile); }
PEFT_CLONES void store_tile(const TileStore<float>& tile) { store_sums(tile); }

// A block of rows, of a height that has machine code.
struct RowBlock {
  const Bfloat16* data = nullptr;
  int64_t rows = 0, stride = 0;
};

int64_t filled_up(int64_t rows) { return (rows + kStep - 1) / kStep * kStep; }

// Copies rows and fills them up with zeros to `filled_width` and a height that has machine code.
RowBlock fill_up(const RowBlock& from, int64_t width, int64_t filled_width, Bfloat16* to) {
  for (int64_t r = 0; r < from.rows; ++r) {
    Bfloat16* row = to + r * filled_width;
    std::memcpy(row, from.data + r * from.stride, static_cast<size_t>(width) * sizeof(Bfloat16));
    std::fill(row + width, row + filled_width, Bfloat16{});
  }
  const auto height = filled_up(from.rows);
  std::fill(to + from.rows * filled_width, to + height * filled_width, Bfloat16{});
  return {to, height, filled_width};
}

// Room that is written before it is read.
template <typename T>
std::unique_ptr<T[]> room(int64_t count) {
  return std::make_unique_for_overwrite<T[]>(static_cast<size_t>(count));
}

template <typename T>
PEFT_INLINE float dot(const T* __restrict a, const T* __restrict b, int64_t count) {
  constexpr int64_t kSums = 2 * kLanes;
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += load(a[i + j]) * load(b[i + j]);
  }
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t j = 0; j < kLanes; ++j) sums[j] += load(a[i + j]) * load(b[i + j]);
  }
  for (; i < count; ++i) sums[0] += load(a[i]) * load(b[i]);
  for (int64_t j = 0; j < kLanes; ++j) sums[j] += sums[kLanes + j];
  return total(sums);
}

template <typename T>
PEFT_INLINE void dot_products(const BlockProductTask<T>& t) {
  const RowUpdate<T>* update = t.updates.empty() ? nullptr : t.updates.data();
  for (auto column = t.first_column; column < t.last_column; ++column) {
    const T* weight = t.weight + column * t.weight_stride;
    for (auto row = t.first_row; row < t.last_row; ++row) {
      float sum = dot(t.x + row * t.x_stride, weight, t.inner);
      if (update != nullptr) {
        sum += dot(t.low + row * t.low_stride, update->factor + column * update->factor_stride,
                   update->rank);
      }
      sum *= t.scale;
      if (t.bias != nullptr) sum += load(t.bias[column]);
      store(t.out[row * t.out_stride + column], sum);
    }
  }
}

int64_t highest_rank(const BlockProductTask<Bfloat16>& task) {
  int64_t rank = 0;
  for (const RowUpdate<Bfloat16>& update : task.updates) rank = std::max(rank, update.rank);
  return rank;
}

class PanelProduct {
 public:
  explicit PanelProduct(const BlockProductTask<Bfloat16>& task)
      : t_(task),
        rows_(task.last_row - task.first_row),
        depth_((task.inner + 1) / 2 * 2),
        panel_(room<Bfloat16>(std::min(depth_, kInner) * kPanel)),
        factor_(room<Bfloat16>(highest_rank(task) * kPanel)),
        low_rows_(room<Bfloat16>(kRows * highest_rank(task))),
        sums_(room<float>((rows_ + kRows) * kPanel)) {
    in_place_ = depth_ > t_.inner ? 0 : rows_ % kStep == 0 ? rows_ : rows_ / kRows * kRows;
    if (in_place_ == rows_) return;
    copied_ = room<Bfloat16>(filled_up(rows_ - in_place_) * depth_);
    const auto* from = t_.x + (t_.first_row + in_place_) * t_.x_stride;
    fill_up({from, rows_ - in_place_, t_.x_stride}, t_.inner, depth_, copied_.get());
  }

  void run() {
    const TileRegisters registers;
    for (auto column = t_.first_column; column < t_.last_column; column += kPanel) {
      column_ = column;
      columns_ = std::min(kPanel, t_.last_column - column);
      packed_ = nullptr;
      for (int64_t inner = 0; inner < depth_; inner += kInner) {
        const auto depth = std::min(kInner, depth_ - inner);
        pack(t_.weight, t_.weight_stride, inner, std::min(depth, t_.inner - inner), panel_.get());
        add_panel(inner, depth);
      }
    }
  }

 private:
  // Rows `first`.. of the right side, the columns of this panel.
  void pack(const Bfloat16* from, int64_t stride, int64_t first, int64_t depth,
            Bfloat16* to) const {
    if (t_.transposed) {
      pack_columns(from + column_ * stride + first, stride, columns_, depth, to);
    } else {
      pack_rows(from + first * stride + column_, stride, depth, columns_, to);
    }
  }

  void add_panel(int64_t inner, int64_t depth) {
    for (auto row = t_.first_row; row < t_.last_row; row += kRows) {
      const auto rows = std::min(kRows, t_.last_row - row);
      float* sums = sums_.get() + (row - t_.first_row) * kPanel;
      const auto block = left_block(row - t_.first_row, rows);
      multiply_tile({block.rows, columns_, depth, block.stride, columns_, columns_, inner > 0},
                    block.data + inner, panel_.get(), sums);
      if (inner + depth < depth_) continue;
      for (const RowUpdate<Bfloat16>& update : t_.updates) {
        const auto first = std::max(row, update.first_row);
        const auto last = std::min(row + rows, update.last_row);
        if (first < last) add_update(update, first, last, sums + (first - row) * columns_);
      }
      if (t_.float_out != nullptr) {
        store_block(sums, row, rows, t_.float_out);
      } else {
        store_block(sums, row, rows, t_.out);
      }
    }
  }

  RowBlock left_block(int64_t first, int64_t rows) const {
    if (first < in_place_) return {t_.x + (t_.first_row + first) * t_.x_stride, rows, t_.x_stride};
    return {copied_.get() + (first - in_place_) * depth_, filled_up(rows), depth_};
  }

  template <typename T>
  void store_block(const float* sums, int64_t row, int64_t rows, T* out) const {
    store_tile(TileStore<T>{.sums = sums,
                            .bias = t_.bias == nullptr ? nullptr : t_.bias + column_,
                            .out = out + row * t_.out_stride + column_,
                            .rows = rows,
                            .columns = columns_,
                            .out_stride = t_.out_stride,
                            .scale = t_.scale});
  }

  // To the sums of rows `first` to `last`. What fills a block up must not touch the sums of rows
  // below it: zeros times an adapter that is broken are not zeros.
  void add_update(const RowUpdate<Bfloat16>& update, int64_t first, int64_t last, float* sums) {
    if (packed_ != &update) {
      pack(update.factor, update.factor_stride, 0, update.rank, factor_.get());
    }
    packed_ = &update;
    const auto rows = last - first;
    const auto whole = last == t_.last_row ? rows : rows / kStep * kStep;
    if (whole > 0) add_low(update.rank, first, whole, true, sums);
    if (whole == rows) return;
    add_low(update.rank, first + whole, rows - whole, false, rest_.data());
    for (auto i = whole * columns_; i < rows * columns_; ++i) {
      sums[i] += rest_[static_cast<size_t>(i - whole * columns_)];
    }
  }

  void add_low(int64_t rank, int64_t first, int64_t rows, bool add, float* sums) {
    RowBlock low{t_.low + first * t_.low_stride, rows, t_.low_stride};
    if (filled_up(rows) != rows) low = fill_up(low, rank, rank, low_rows_.get());
    multiply_tile({low.rows, columns_, rank, low.stride, columns_, columns_, add}, low.data,
                  factor_.get(), sums);
  }

  const BlockProductTask<Bfloat16>& t_;
  int64_t rows_ = 0, depth_ = 0;  // depth_: the inner dimension, filled up to pairs
  std::unique_ptr<Bfloat16[]> panel_, factor_, low_rows_;
  std::unique_ptr<float[]> sums_;
  int64_t in_place_ = 0;                         // so many rows of x are read where they lie,
  std::unique_ptr<Bfloat16[]> copied_;           // and the others from here, filled up [.., depth_]
  const RowUpdate<Bfloat16>* packed_ = nullptr;  // whose factor factor_ holds
  std::array<float, static_cast<size_t>(kStep* kPanel)> rest_;
  int64_t column_ = 0, columns_ = 0;
};

}  // namespace

void block_product(const BlockProductTask<float>& task) {
  // For so many rows it pays to turn the weight as it is packed.
  constexpr int64_t kManyRows = 128;
  if (task.transposed && task.last_row - task.first_row < kManyRows) {
    dot_product(task);
  } else {
    strip_product(task);
  }
}
void block_product(const BlockProductTask<Bfloat16>& task) { PanelProduct(task).run(); }

PEFT_CLONES void few_rows_product(const BlockProductTask<float>& task) { dot_products(task); }
PEFT_CLONES void few_rows_product(const BlockProductTask<Bfloat16>& task) { dot_products(task); }

}  // namespace peft::kernels
