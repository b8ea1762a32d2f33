#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>

#include "peft/models/common/fused_kernels.h"

/// What the autograd functions over fused_kernels.h share.
namespace peft::fused {

/// True where the kernels can work on these tensors: on the CPU, of one dtype that they know.
bool supported(std::initializer_list<const at::Tensor*> tensors);

/// The kernels' view of a tensor's memory.
template <typename T>
T* data(const at::Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

/// Calls `body.template operator()<T>()` with the kernels' type for `dtype`, float or bfloat16.
template <typename Body>
void dispatch(at::ScalarType dtype, const Body& body) {
  if (dtype == at::kFloat) {
    body.template operator()<float>();
  } else {
    body.template operator()<kernels::Bfloat16>();
  }
}

/// Runs `body(begin, end)` over [0, count) on several threads where the work of `numbers` numbers
/// an item is worth it.
template <typename Body>
void parallel(int64_t count, int64_t numbers, const Body& body) {
  constexpr int64_t kNumbersAThread = 1 << 14;
  at::parallel_for(0, count, std::max<int64_t>(1, kNumbersAThread / std::max<int64_t>(1, numbers)),
                   body);
}

/// The kernels' gradients cannot be differentiated again.
/// Throws: UnsupportedError inside of a backward with create_graph.
void refuse_second_derivative();

}  // namespace peft::fused
