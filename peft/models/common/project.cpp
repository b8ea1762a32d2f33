#include "peft/models/common/project.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/tensor/block_product.h"
#include "peft/tensor/product_dtype.h"
#include "peft/tensor/tag_key.h"

namespace peft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::optional<at::Tensor> optional(const at::Tensor& x) {
  return x.defined() ? std::optional<at::Tensor>(x) : std::nullopt;
}

// The frozen weight is converted again in backward rather than kept: two copies of every weight
// would be more than the model itself.
struct WideProduct : torch::autograd::Function<WideProduct> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({weight});
    std::optional<at::Tensor> wide_bias;
    if (bias.has_value()) wide_bias = bias->to(at::kFloat);
    const auto y = at::linear(x.to(at::kFloat), weight.to(at::kFloat), wide_bias);
    return y.to(x.scalar_type());
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto weight = context->get_saved_variables()[0];
    const auto& gradient = gradients[0];
    const auto dx = at::matmul(gradient.to(at::kFloat), weight.to(at::kFloat));
    return {dx.to(gradient.scalar_type()), at::Tensor(), at::Tensor()};
  }
};

bool trained(const at::Tensor& x) { return x.defined() && x.requires_grad(); }

// A step of generation: few rows, and nobody wants a gradient.
bool only_reads(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return !at::GradMode::is_enabled() && x.is_contiguous() && !is_tagged(weight) &&
         !(bias.defined() && is_tagged(bias));
}

}  // namespace

at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (only_reads(x, weight, bias)) {
    // The transpose of a matrix, as Conv1D gives it, is read as the matrix that it was.
    const bool turned = !weight.is_contiguous() && weight.t().is_contiguous();
    const BlockProduct product{.x = x.view({-1, x.size(-1)}),
                               .weight = turned ? weight.t() : weight,
                               .transposed = !turned,
                               .bias = bias};
    if (serves_block_product(product)) {
      auto shape = x.sizes().vec();
      shape.back() = weight.size(0);
      return frozen_product(product).view(shape);
    }
  }
  const auto rows = x.numel() / std::max<int64_t>(1, x.size(-1));
  const bool wide = x.is_cpu() && x.scalar_type() == weight.scalar_type() && !is_tagged(weight) &&
                    product_dtype(x.scalar_type(), rows) != x.scalar_type();
  if (!wide || trained(weight) || trained(bias)) return at::linear(x, weight, optional(bias));
  return WideProduct::apply(x, weight, optional(bias));
}

at::Tensor project(const at::Tensor& x, const torch::nn::Linear& layer) {
  return project(x, layer->weight, layer->bias);
}

}  // namespace peft
