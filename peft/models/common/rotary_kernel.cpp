#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/models/common/fused.h"
#include "peft/models/common/rope.h"

namespace peft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x [B, T, H, D] -> [B, H, T, D]. Products are rounded to x's dtype one by one, as Python's are.
at::Tensor plain_rotation(const at::Tensor& x, const RotaryAngles& angles) {
  const auto half = x.size(-1) / 2;
  const auto cos = angles.cos.unsqueeze(-2).to(x.scalar_type());
  const auto sin = angles.sin.unsqueeze(-2).to(x.scalar_type());
  const auto first = x.narrow(-1, 0, half);
  const auto second = x.narrow(-1, half, half);
  const auto turned = at::cat({first * cos - second * sin, second * cos + first * sin}, -1);
  return turned.transpose(1, 2).contiguous();
}

struct Turn {
  const at::Tensor &cos, &sin;  // [B or 1, T, D / 2] float32
  float direction = 1;          // -1 turns back: the derivative's transpose
};

// Reads x and writes out, both seen as [B, T, H, D] whatever their layout is.
void turn_into(const at::Tensor& out, const at::Tensor& x, const Turn& turn) {
  const auto batch = x.size(0), tokens = x.size(1), heads = x.size(2), width = x.size(3);
  const auto angle_stride = turn.cos.size(0) == 1 ? 0 : tokens * (width / 2);
  fused::dispatch(x.scalar_type(), [&]<typename T>() {
    fused::parallel(batch * tokens, heads * width, [&](int64_t begin, int64_t end) {
      for (auto item = begin; item < end; ++item) {
        const auto b = item / tokens, t = item % tokens;
        const auto angle = b * angle_stride + t * (width / 2);
        kernels::rotate({.x = fused::data<T>(x) + b * x.stride(0) + t * x.stride(1),
                         .out = fused::data<T>(out) + b * out.stride(0) + t * out.stride(1),
                         .cos = turn.cos.data_ptr<float>() + angle,
                         .sin = turn.sin.data_ptr<float>() + angle,
                         .heads = heads,
                         .width = width,
                         .x_stride = x.stride(2),
                         .out_stride = out.stride(2),
                         .direction = turn.direction});
      }
    });
  });
}

at::Tensor rotated(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  auto out = at::empty({x.size(0), x.size(2), x.size(1), x.size(3)}, x.options());
  turn_into(out.transpose(1, 2), x, {.cos = cos, .sin = sin});
  return out;
}

struct RotaryFunction : torch::autograd::Function<RotaryFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotated(x, cos, sin);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    fused::refuse_second_derivative();
    const auto saved = context->get_saved_variables();
    const auto given = gradients[0];  // [B, H, T, D]
    const auto gradient = (given.stride(3) == 1 ? given : given.contiguous()).transpose(1, 2);
    auto out = at::empty(gradient.sizes(), gradient.options());
    turn_into(out, gradient, {.cos = saved[0], .sin = saved[1], .direction = -1});
    return {out, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor apply_rotary(const at::Tensor& x, const RotaryAngles& angles) {
  if (!fused::supported({&x})) return plain_rotation(x, angles);
  const auto dense = x.stride(3) == 1 ? x : x.contiguous();
  const auto cos = angles.cos.contiguous(), sin = angles.sin.contiguous();
  if (!at::GradMode::is_enabled() || !x.requires_grad()) return rotated(dense, cos, sin);
  return RotaryFunction::apply(dense, cos, sin);
}

at::Tensor apply_partial_rotary(const at::Tensor& x, const RotaryAngles& angles, int64_t dims) {
  if (dims == x.size(3)) return apply_rotary(x, angles);
  const auto rest = x.narrow(3, dims, x.size(3) - dims).transpose(1, 2);
  return at::cat({apply_rotary(x.narrow(3, 0, dims), angles), rest}, 3);
}

}  // namespace peft
