#include "peft/models/common/swiglu.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/models/common/fused.h"

namespace peft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up) {
  auto out = at::empty_like(gate);
  fused::dispatch(gate.scalar_type(), [&]<typename T>() {
    fused::parallel(gate.numel(), 1, [&](int64_t begin, int64_t end) {
      kernels::swiglu({.gate = fused::data<T>(gate) + begin,
                       .up = fused::data<T>(up) + begin,
                       .out = fused::data<T>(out) + begin,
                       .count = end - begin});
    });
  });
  return out;
}

struct SwigluFunction : torch::autograd::Function<SwigluFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return gated(gate, up);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    fused::refuse_second_derivative();
    const auto saved = context->get_saved_variables();
    const auto &gate = saved[0], &up = saved[1];
    const auto gradient = gradients[0].contiguous();
    auto gate_gradient = at::empty_like(gate), up_gradient = at::empty_like(up);
    fused::dispatch(gate.scalar_type(), [&]<typename T>() {
      fused::parallel(gate.numel(), 1, [&](int64_t begin, int64_t end) {
        kernels::swiglu_gradient({.gradient = fused::data<T>(gradient) + begin,
                                  .gate = fused::data<T>(gate) + begin,
                                  .up = fused::data<T>(up) + begin,
                                  .gate_gradient = fused::data<T>(gate_gradient) + begin,
                                  .up_gradient = fused::data<T>(up_gradient) + begin,
                                  .count = end - begin});
      });
    });
    return {gate_gradient, up_gradient};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  if (!fused::supported({&gate, &up}) || gate.sizes() != up.sizes()) return at::silu(gate) * up;
  const auto first = gate.contiguous(), second = up.contiguous();
  if (!at::GradMode::is_enabled() || !(gate.requires_grad() || up.requires_grad())) {
    return gated(first, second);
  }
  return SwigluFunction::apply(first, second);
}

}  // namespace peft
