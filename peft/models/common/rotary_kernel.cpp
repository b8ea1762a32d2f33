#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/models/common/rope.h"

namespace peft {
namespace {

// x [B, T, H, D] -> [B, H, T, D]; `direction` -1 turns back, which is the derivative's transpose.
// Products are rounded to x's dtype one by one, as Python's are.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, int direction) {
  const auto half = x.size(-1) / 2;
  const auto c = cos.unsqueeze(-2).to(x.scalar_type());
  const auto s = (direction > 0 ? sin : -sin).unsqueeze(-2).to(x.scalar_type());
  const auto first = x.narrow(-1, 0, half);
  const auto second = x.narrow(-1, half, half);
  const auto turned = at::cat({first * c - second * s, second * c + first * s}, -1);
  return turned.transpose(1, 2).contiguous();
}

}  // namespace

at::Tensor apply_rotary(const at::Tensor& x, const RotaryAngles& angles) {
  return rotate(x, angles.cos, angles.sin, 1);
}

}  // namespace peft
