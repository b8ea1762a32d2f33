#include "peft/models/common/conv1d.h"

#include <ATen/ATen.h>

#include "peft/models/common/project.h"

namespace peft {

Conv1DImpl::Conv1DImpl(int64_t in, int64_t out, at::TensorOptions options) {
  weight = register_parameter("weight", at::empty({in, out}, options), false);
  bias = register_parameter("bias", at::empty({out}, options), false);
}

at::Tensor Conv1DImpl::forward(const at::Tensor& x) const { return project(x, weight.t(), bias); }

}  // namespace peft
