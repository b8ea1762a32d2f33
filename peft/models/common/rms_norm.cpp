#include "peft/models/common/rms_norm.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

namespace peft {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const auto wide = x.to(at::kFloat);
  const auto scale = at::rsqrt(wide.square().mean(-1, true) + eps);
  return weight * (wide * scale).to(x.scalar_type());
}

RmsNormImpl::RmsNormImpl(int64_t size, double eps, at::TensorOptions options) : eps_(eps) {
  weight = register_parameter("weight", at::ones({size}, options));
}

}  // namespace peft
