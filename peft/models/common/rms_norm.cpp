#include "peft/models/common/rms_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>

#include "peft/models/common/fused.h"
#include "peft/tensor/tag_key.h"

namespace peft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const auto wide = x.to(at::kFloat);
  const auto scale = at::rsqrt(wide.square().mean(-1, true) + eps);
  return weight * (wide * scale).to(x.scalar_type());
}

bool fusible(const at::Tensor& x, const at::Tensor& weight) {
  return !is_tagged(weight) && !weight.requires_grad() && fused::supported({&x, &weight}) &&
         weight.is_contiguous() && weight.numel() == x.size(-1);
}

struct Normed {
  at::Tensor sum, y, scale;
};

// `delta` undefined: the norm of x alone.
Normed normed(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double eps) {
  const auto width = x.size(-1), rows = x.numel() / std::max<int64_t>(1, width);
  Normed out;
  if (delta.defined()) out.sum = at::empty_like(x);
  out.y = at::empty_like(x);
  out.scale = at::empty({rows}, x.options().dtype(at::kFloat));
  fused::dispatch(x.scalar_type(), [&]<typename T>() {
    fused::parallel(rows, width, [&](int64_t begin, int64_t end) {
      const auto at_row = begin * width;
      kernels::RmsNormRows<T> range{.x = fused::data<T>(x) + at_row,
                                    .weight = fused::data<T>(weight),
                                    .y = fused::data<T>(out.y) + at_row,
                                    .scale = out.scale.data_ptr<float>() + begin,
                                    .rows = end - begin,
                                    .width = width,
                                    .eps = eps};
      if (delta.defined()) {
        range.delta = fused::data<T>(delta) + at_row;
        range.sum = fused::data<T>(out.sum) + at_row;
      }
      kernels::rms_norm(range);
    });
  });
  return out;
}

// Gradient of the norm's input; `residual`, where defined, is added to it.
at::Tensor norm_gradient(const at::Tensor& given, const variable_list& saved,
                         const at::Tensor& residual) {
  const auto gradient = given.contiguous();
  const auto past = residual.defined() ? residual.contiguous() : residual;
  const auto &x = saved[0], &weight = saved[1], &scale = saved[2];
  const auto width = x.size(-1), rows = x.numel() / std::max<int64_t>(1, width);
  auto out = at::empty_like(x);
  fused::dispatch(x.scalar_type(), [&]<typename T>() {
    fused::parallel(rows, width, [&](int64_t begin, int64_t end) {
      const auto at_row = begin * width;
      kernels::rms_norm_gradient(
          {.gradient = fused::data<T>(gradient) + at_row,
           .x = fused::data<T>(x) + at_row,
           .weight = fused::data<T>(weight),
           .scale = scale.data_ptr<float>() + begin,
           .residual = past.defined() ? fused::data<T>(past) + at_row : nullptr,
           .out = fused::data<T>(out) + at_row,
           .rows = end - begin,
           .width = width});
    });
  });
  return out;
}

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const auto out = normed(x, {}, weight, eps);
    context->save_for_backward({x, weight, out.scale});
    return out.y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    fused::refuse_second_derivative();
    return {norm_gradient(gradients[0], context->get_saved_variables(), {}), at::Tensor(),
            at::Tensor()};
  }
};

struct AddRmsNormFunction : torch::autograd::Function<AddRmsNormFunction> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x,
                               const at::Tensor& delta, const at::Tensor& weight, double eps) {
    const auto out = normed(x, delta, weight, eps);
    context->set_materialize_grads(false);
    context->save_for_backward({out.sum, weight, out.scale});
    return {out.sum, out.y};
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    fused::refuse_second_derivative();
    auto gradient = gradients[0];
    if (gradients[1].defined()) {
      gradient = norm_gradient(gradients[1], context->get_saved_variables(), gradients[0]);
    }
    return {gradient, gradient, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (!fusible(x, weight)) return plain_rms_norm(x, weight, eps);
  const auto dense = x.contiguous();
  if (!at::GradMode::is_enabled() || !x.requires_grad()) return normed(dense, {}, weight, eps).y;
  return RmsNormFunction::apply(dense, weight, eps);
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                               const at::Tensor& weight, double eps) {
  if (!fusible(x, weight) || !fused::supported({&x, &delta}) || x.sizes() != delta.sizes()) {
    const auto sum = x + delta;
    return {sum, rms_norm(sum, weight, eps)};
  }
  const auto first = x.contiguous(), second = delta.contiguous();
  if (!at::GradMode::is_enabled() || !(x.requires_grad() || delta.requires_grad())) {
    const auto out = normed(first, second, weight, eps);
    return {out.sum, out.y};
  }
  const auto out = AddRmsNormFunction::apply(first, second, weight, eps);
  return {out[0], out[1]};
}

RmsNormImpl::RmsNormImpl(int64_t size, double eps, at::TensorOptions options) : eps_(eps) {
  weight = register_parameter("weight", at::ones({size}, options));
}

}  // namespace peft
