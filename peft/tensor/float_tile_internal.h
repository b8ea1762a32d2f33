#pragma once

#include <cstdint>
#include <cstring>

#include "peft/tensor/block_product_internal.h"
#include "peft/tensor/vector_math_internal.h"

/// What the two products of float32 share: vectors as wide as the processor's registers, and rows
/// that get the same update. Private to the files of kernels.

// `name` calls `run<Lanes>`, which is compiled for each width of registers and must be inline.
#define PEFT_BY_REGISTER_WIDTH(name, run)                                                      \
  namespace {                                                                                  \
  __attribute__((target("arch=x86-64-v4"))) void name##_16(const BlockProductTask<float>& t) { \
    run<16>(t);                                                                                \
  }                                                                                            \
  __attribute__((target("arch=x86-64-v3"))) void name##_8(const BlockProductTask<float>& t) {  \
    run<8>(t);                                                                                 \
  }                                                                                            \
  void name##_4(const BlockProductTask<float>& t) { run<4>(t); }                               \
  }                                                                                            \
  void name(const BlockProductTask<float>& t) {                                                \
    static const int64_t lanes = register_lanes();                                             \
    return lanes == 16 ? name##_16(t) : lanes == 8 ? name##_8(t) : name##_4(t);                \
  }

namespace peft::kernels {

template <int64_t Lanes>
struct FloatVector {
  using Type __attribute__((vector_size(Lanes * sizeof(float)))) = float;
};
template <int64_t Lanes>
using Floats = typename FloatVector<Lanes>::Type;

template <int64_t Lanes>
PEFT_INLINE Floats<Lanes> load_floats(const float* from) {
  Floats<Lanes> vector;
  std::memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <int64_t Lanes>
PEFT_INLINE void store_floats(float* to, Floats<Lanes> vector) {
  std::memcpy(to, &vector, sizeof(vector));
}

/// Rows of a task that follow each other and get the same update, or none.
struct RowRun {
  int64_t first = 0, last = 0;
  const RowUpdate<float>* update = nullptr;
};

/// Takes a task's rows apart, in their order.
class RowRuns {
 public:
  explicit RowRuns(const BlockProductTask<float>& task) : t_(task), row_(task.first_row) {}

  PEFT_INLINE bool next(RowRun& run) {
    if (row_ >= t_.last_row) return false;
    while (next_ < t_.updates.size() && t_.updates[next_].last_row <= row_) ++next_;
    run = {row_, t_.last_row, nullptr};
    if (next_ < t_.updates.size()) {
      const RowUpdate<float>& update = t_.updates[next_];
      const bool inside = update.first_row <= row_;
      run.last = std::min(t_.last_row, inside ? update.last_row : update.first_row);
      if (inside) run.update = &update;
    }
    row_ = run.last;
    return true;
  }

 private:
  const BlockProductTask<float>& t_;
  int64_t row_ = 0;
  size_t next_ = 0;
};

}  // namespace peft::kernels
