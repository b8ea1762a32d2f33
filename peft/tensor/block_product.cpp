#include "peft/tensor/block_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <vector>

#include "peft/tensor/block_product_internal.h"
#include "peft/tensor/product_dtype.h"

namespace peft {
namespace {

constexpr int64_t kFewestRows = 16, kFewestPairedRows = 4;
constexpr int64_t kFewestRowsATask = 128;

bool plain(const at::Tensor& x, at::ScalarType dtype, int64_t dims) {
  return x.device().is_cpu() && x.scalar_type() == dtype && x.layout() == at::kStrided &&
         x.dim() == dims && x.stride(-1) == 1 && !x.is_conj() && !x.is_neg();
}

bool dense_even(const at::Tensor& x) {
  return x.size(0) % 2 == 0 && x.size(1) % 2 == 0 && x.stride(0) % 2 == 0;
}

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// So few that reading the weight is all the work.
bool few_rows(const BlockProduct& p) { return p.transposed && p.x.size(0) < kFewestRows; }

template <typename T>
kernels::BlockProductTask<T> task_of(const BlockProduct& p, const at::Tensor& out) {
  const auto pointer = [](const at::Tensor& x) {
    return x.defined() ? static_cast<const T*>(x.const_data_ptr()) : nullptr;
  };
  kernels::BlockProductTask<T> task;
  task.x = pointer(p.x);
  task.weight = pointer(p.weight);
  task.low = pointer(p.low);
  task.bias = pointer(p.bias);
  if (out.scalar_type() == p.x.scalar_type()) {
    task.out = static_cast<T*>(out.mutable_data_ptr());
  } else {
    task.float_out = out.mutable_data_ptr<float>();
  }
  task.x_stride = p.x.stride(0);
  task.weight_stride = p.weight.stride(0);
  task.out_stride = out.stride(0);
  task.inner = p.x.size(1);
  task.columns = out.size(1);
  if (p.low.defined()) task.low_stride = p.low.stride(0);
  task.transposed = p.transposed;
  task.scale = static_cast<float>(p.scale);
  return task;
}

template <typename T>
std::vector<kernels::RowUpdate<T>> updates_of(const BlockProduct& p) {
  std::vector<kernels::RowUpdate<T>> updates;
  const auto add = [&](int64_t first, int64_t last, const at::Tensor& factor) {
    updates.push_back({.first_row = first,
                       .last_row = last,
                       .factor = static_cast<const T*>(factor.const_data_ptr()),
                       .factor_stride = factor.stride(0),
                       .rank = factor.size(p.transposed ? 1 : 0)});
  };
  if (p.low.defined() && p.row_factors.empty()) add(0, p.x.size(0), p.factor);
  for (const RowFactor& own : p.row_factors) add(own.first, own.last, own.factor);
  return updates;
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
  const auto updates = updates_of<T>(p);
  auto whole = task_of<T>(p, out);
  whole.updates = updates;
  const auto grain = std::max<int64_t>(1, kNumbersATask / (whole.inner * p.x.size(0)));
  at::parallel_for(0, whole.columns, grain, [&](int64_t begin, int64_t end) {
    auto task = whole;
    task.last_row = p.x.size(0);
    task.first_column = begin;
    task.last_column = end;
    kernels::few_rows_product(task);
  });
}

int64_t usable_threads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

// Threads take parts until none is left: one that is held up by other programs takes fewer.
void share_out(int64_t parts, const std::function<void(int64_t)>& work) {
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min(parts, usable_threads()), 1, [&](int64_t, int64_t) {
    for (auto part = next++; part < parts; part = next++) work(part);
  });
}

template <typename T>
void run(const BlockProduct& p, const at::Tensor& out) {
  if (few_rows(p)) return run_few_rows<T>(p, out);
  constexpr int64_t kPartsAThread = 4;
  const auto updates = updates_of<T>(p);
  auto whole = task_of<T>(p, out);
  whole.updates = updates;
  const auto rows = p.x.size(0);
  const int64_t threads = usable_threads();
  const auto panels = divide_up(whole.columns, kernels::kPanel);
  const auto row_tasks = count_row_tasks(rows, panels, threads);
  const auto height = divide_up(divide_up(rows, row_tasks), kFewestRows) * kFewestRows;
  const auto column_tasks = std::min(panels, kPartsAThread * divide_up(threads, row_tasks));
  const auto width = divide_up(panels, column_tasks) * kernels::kPanel;
  share_out(row_tasks * column_tasks, [&](int64_t item) {
    auto task = whole;
    task.first_row = item / column_tasks * height;
    task.last_row = std::min(rows, task.first_row + height);
    task.first_column = item % column_tasks * width;
    task.last_column = std::min(whole.columns, task.first_column + width);
    if (task.first_row < task.last_row && task.first_column < task.last_column) {
      kernels::block_product(task);
    }
  });
}

template <typename T>
std::vector<kernels::BlockProductTask<T>> tasks_of(const at::Tensor& x,
                                                   const std::vector<RowProduct>& products,
                                                   const at::Tensor& out) {
  constexpr int64_t kMostRowsATask = 256;
  std::vector<kernels::BlockProductTask<T>> tasks;
  for (const RowProduct& own : products) {
    auto task =
        task_of<T>({.x = x, .weight = own.weight, .transposed = true, .scale = own.scale}, out);
    task.columns = task.last_column = own.weight.size(0);
    for (auto first = own.first; first < own.last; first += kMostRowsATask) {
      task.first_row = first;
      task.last_row = std::min(own.last, first + kMostRowsATask);
      tasks.push_back(task);
    }
  }
  return tasks;
}

template <typename T>
void run_rows(const at::Tensor& x, const std::vector<RowProduct>& products, const at::Tensor& out) {
  const auto tasks = tasks_of<T>(x, products, out);
  share_out(static_cast<int64_t>(tasks.size()),
            [&](int64_t i) { kernels::block_product(tasks[static_cast<size_t>(i)]); });
}

bool serves_update(const BlockProduct& p, bool paired) {
  if (!p.low.defined()) return true;
  const auto dtype = p.x.scalar_type();
  const auto serves_factor = [&](const at::Tensor& factor) {
    const int64_t rank = factor.dim() == 2 ? factor.size(p.transposed ? 1 : 0) : 0;
    return plain(factor, dtype, 2) && (!paired || (dense_even(factor) && rank % 2 == 0));
  };
  if (!plain(p.low, dtype, 2)) return false;
  if (p.row_factors.empty()) return serves_factor(p.factor);
  return p.x.size(0) >= kFewestRows &&
         std::all_of(p.row_factors.begin(), p.row_factors.end(),
                     [&](const RowFactor& own) { return serves_factor(own.factor); });
}

}  // namespace

bool serves_block_product(const BlockProduct& p) {
  const auto dtype = p.x.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16) return false;
  if (!plain(p.x, dtype, 2) || !plain(p.weight, dtype, 2)) return false;
  if (p.bias.defined() && !plain(p.bias, dtype, 1)) return false;
  if (p.weight.numel() == 0 || p.x.numel() == 0) return false;
  if (few_rows(p)) return result_dtype(p) == dtype && serves_update(p, false);
  if (product_dtype(dtype, p.x.size(0)) != dtype) return false;
  // Tiles of float32 are made for more rows; bfloat16 is multiplied in pairs.
  const bool paired = dtype == at::kBFloat16;
  if (p.x.size(0) < (paired ? kFewestPairedRows : kFewestRows)) return false;
  return serves_update(p, paired) && (!paired || !p.transposed || dense_even(p.weight));
}

at::ScalarType result_dtype(const BlockProduct& product) {
  return product.keep_float ? at::kFloat : product.x.scalar_type();
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
  if (p.low.defined() && p.row_factors.empty()) out.addmm_(p.low, turned(p.factor));
  for (const RowFactor& own : p.row_factors) {
    const at::Tensor factor = turned(own.factor);  // [R, M]
    const at::Tensor low = p.low.slice(0, own.first, own.last).narrow(1, 0, factor.size(0));
    out.slice(0, own.first, own.last).addmm_(low, factor);
  }
  if (p.scale != 1.0) out.mul_(p.scale);
  if (p.bias.defined() && !offset) out.add_(p.bias);
  return out.to(result_dtype(p));
}

at::Tensor frozen_product(const BlockProduct& p) {
  if (!serves_block_product(p)) return libtorch_product(p);
  auto out = at::empty({p.x.size(0), p.weight.size(p.transposed ? 0 : 1)},
                       p.x.options().dtype(result_dtype(p)));
  block_product(p, out);
  return out;
}

void row_products(const at::Tensor& x, const std::vector<RowProduct>& products,
                  const at::Tensor& out) {
  const bool served = std::all_of(products.begin(), products.end(), [&](const RowProduct& own) {
    const BlockProduct alike{.x = x, .weight = own.weight, .transposed = true};
    return x.size(0) >= kFewestRows && serves_block_product(alike);
  });
  if (served && x.scalar_type() == at::kFloat) return run_rows<float>(x, products, out);
  if (served) return run_rows<kernels::Bfloat16>(x, products, out);
  for (const RowProduct& own : products) {
    const at::Tensor product = at::mm(x.slice(0, own.first, own.last), own.weight.t());
    out.slice(0, own.first, own.last).narrow(1, 0, own.weight.size(0)).copy_(product * own.scale);
  }
}

}  // namespace peft
