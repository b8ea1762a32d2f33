#include "peft/tensor/block_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <vector>

#include "peft/tensor/block_product_internal.h"
#include "peft/tensor/product_dtype.h"

namespace peft {
namespace {

constexpr int64_t kFewestRows = 16;
constexpr int64_t kFewestRowsATask = 128;

bool plain(const at::Tensor& x, at::ScalarType dtype, int64_t dims) {
  return x.device().is_cpu() && x.scalar_type() == dtype && x.layout() == at::kStrided &&
         x.dim() == dims && x.stride(-1) == 1 && !x.is_conj() && !x.is_neg();
}

bool dense_even(const at::Tensor& x) {
  return x.size(0) % 2 == 0 && x.size(1) % 2 == 0 && x.stride(0) % 2 == 0;
}

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <typename T>
kernels::BlockProductTask<T> task_of(const BlockProduct& p, const at::Tensor& out) {
  const auto pointer = [](const at::Tensor& x) {
    return x.defined() ? static_cast<const T*>(x.const_data_ptr()) : nullptr;
  };
  kernels::BlockProductTask<T> task;
  task.x = pointer(p.x);
  task.weight = pointer(p.weight);
  task.low = pointer(p.low);
  task.factor = pointer(p.factor);
  task.bias = pointer(p.bias);
  task.out = static_cast<T*>(out.mutable_data_ptr());
  task.x_stride = p.x.stride(0);
  task.weight_stride = p.weight.stride(0);
  task.out_stride = out.stride(0);
  task.inner = p.x.size(1);
  task.columns = out.size(1);
  if (p.low.defined()) {
    task.low_stride = p.low.stride(0);
    task.factor_stride = p.factor.stride(0);
    task.rank = p.low.size(1);
  }
  task.transposed = p.transposed;
  task.scale = static_cast<float>(p.scale);
  return task;
}

// How many tasks the rows are cut into. Each packs the weight for itself, so the columns are shared
// instead where that gives all threads about the same work.
int64_t count_row_tasks(int64_t rows, int64_t panels, int64_t threads) {
  const bool even = 10 * divide_up(panels, threads) * threads <= 11 * panels;
  return even ? 1 : std::max<int64_t>(1, std::min(threads, rows / kFewestRowsATask));
}

template <typename T>
void run_few_rows(const BlockProduct& p, const at::Tensor& out) {
  constexpr int64_t kNumbersATask = 1 << 14;
  const auto whole = task_of<T>(p, out);
  const auto grain = std::max<int64_t>(1, kNumbersATask / (whole.inner * p.x.size(0)));
  at::parallel_for(0, whole.columns, grain, [&](int64_t begin, int64_t end) {
    auto task = whole;
    task.last_row = p.x.size(0);
    task.first_column = begin;
    task.last_column = end;
    kernels::few_rows_product(task);
  });
}

template <typename T>
void run(const BlockProduct& p, const at::Tensor& out) {
  if (p.x.size(0) < kFewestRows) return run_few_rows<T>(p, out);
  const auto whole = task_of<T>(p, out);
  const auto rows = p.x.size(0);
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const auto panels = divide_up(whole.columns, kernels::kPanel);
  const auto row_tasks = count_row_tasks(rows, panels, threads);
  const auto height = divide_up(divide_up(rows, row_tasks), kFewestRows) * kFewestRows;
  const auto column_tasks =
      std::min(panels, row_tasks < threads ? divide_up(threads, row_tasks) : 1);
  const auto width = divide_up(panels, column_tasks) * kernels::kPanel;
  at::parallel_for(0, row_tasks * column_tasks, 1, [&](int64_t begin, int64_t end) {
    for (auto item = begin; item < end; ++item) {
      auto task = whole;
      task.first_row = item / column_tasks * height;
      task.last_row = std::min(rows, task.first_row + height);
      task.first_column = item % column_tasks * width;
      task.last_column = std::min(whole.columns, task.first_column + width);
      if (task.first_row < task.last_row && task.first_column < task.last_column) {
        kernels::block_product(task);
      }
    }
  });
}

}  // namespace

bool serves_block_product(const BlockProduct& p) {
  const auto dtype = p.x.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16) return false;
  if (!plain(p.x, dtype, 2) || !plain(p.weight, dtype, 2)) return false;
  if (p.bias.defined() && !plain(p.bias, dtype, 1)) return false;
  if (p.low.defined() && (!plain(p.low, dtype, 2) || !plain(p.factor, dtype, 2))) return false;
  if (p.weight.numel() == 0 || p.x.numel() == 0) return false;
  if (p.x.size(0) < kFewestRows) return p.transposed;
  if (product_dtype(dtype, p.x.size(0)) != dtype) return false;
  if (dtype == at::kFloat) return true;
  const bool even_update = !p.low.defined() || (dense_even(p.factor) && p.low.size(1) % 2 == 0);
  return p.x.size(1) % 2 == 0 && dense_even(p.weight) && even_update;
}

void block_product(const BlockProduct& product, const at::Tensor& out) {
  if (product.x.scalar_type() == at::kFloat) {
    run<float>(product, out);
  } else {
    run<kernels::Bfloat16>(product, out);
  }
}

at::Tensor libtorch_product(const BlockProduct& p) {
  const auto turned = [&](const at::Tensor& x) { return p.transposed ? x.t() : x; };
  const bool offset = p.bias.defined() && p.scale == 1.0;
  auto out = offset ? at::addmm(p.bias, p.x, turned(p.weight)) : at::mm(p.x, turned(p.weight));
  if (p.low.defined()) out.addmm_(p.low, turned(p.factor));
  if (p.scale != 1.0) out.mul_(p.scale);
  return p.bias.defined() && !offset ? out.add_(p.bias) : out;
}

at::Tensor frozen_product(const BlockProduct& p) {
  if (!serves_block_product(p)) return libtorch_product(p);
  auto out = at::empty({p.x.size(0), p.weight.size(p.transposed ? 0 : 1)}, p.x.options());
  block_product(p, out);
  return out;
}

}  // namespace peft
