#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// Lets go of a parameter's memory: the same tensor object is on the meta device from then on, with
/// its shape and dtype, and cannot be computed with. Whoever holds the tensor sees that.
void drop_values(const at::Tensor& parameter);

/// Gives a parameter without values the memory of `values`, without a copy where the dtype is the
/// same already.
/// Shapes of both are equal.
void adopt_values(const at::Tensor& parameter, const at::Tensor& values, c10::Device device);

}  // namespace peft
