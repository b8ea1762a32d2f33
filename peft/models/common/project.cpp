#include "peft/models/common/project.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
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

int64_t rows_of(const at::Tensor& x) { return x.numel() / std::max<int64_t>(1, x.size(-1)); }

// x times the transpose of the weight, or the weight itself. One that is the transpose of a dense
// matrix, as Conv1D gives it, is read as the matrix that it was.
BlockProduct product_of(const at::Tensor& x, const at::Tensor& weight, bool transposed) {
  const bool turned = !weight.is_contiguous() && weight.t().is_contiguous();
  return {.x = x.reshape({-1, x.size(-1)}),
          .weight = turned ? weight.t() : weight,
          .transposed = transposed != turned};
}

at::Tensor with_width(const at::Tensor& rows, const at::Tensor& like) {
  auto shape = like.sizes().vec();
  shape.back() = rows.size(1);
  return rows.view(shape);
}

// In the dtype that this processor is fastest at.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight, bool transposed,
                   const at::Tensor& bias = {}) {
  const auto dtype = product_dtype(x.scalar_type(), rows_of(x));
  auto asked = product_of(x.to(dtype), weight.to(dtype), transposed);
  if (bias.defined()) asked.bias = bias.to(dtype);
  return with_width(frozen_product(asked), x).to(x.scalar_type());
}

// A weight of another dtype is converted again in backward rather than kept: two copies of every
// weight would be more than the model itself.
struct FrozenProduct : torch::autograd::Function<FrozenProduct> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({weight});
    return product(x, weight, true, bias.value_or(at::Tensor()));
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto weight = context->get_saved_variables()[0];
    const auto& dy = gradients[0];
    // A second derivative needs a plain operator.
    const auto dx =
        at::GradMode::is_enabled() ? at::matmul(dy, weight) : product(dy, weight, false);
    return {dx, at::Tensor(), at::Tensor()};
  }
};

bool learns(const at::Tensor& x) {
  return x.defined() && x.requires_grad() && at::GradMode::is_enabled();
}

bool frozen(const at::Tensor& x) { return !x.defined() || (!learns(x) && !is_tagged(x)); }

bool serves_frozen_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return x.is_cpu() && x.numel() > 0 && x.scalar_type() == weight.scalar_type() && frozen(weight) &&
         frozen(bias) && !at::autocast::is_autocast_enabled(at::kCPU);
}

// The kernel for few rows is made for generation, where nobody wants a gradient; for many rows, and
// no update of low rank beside the product, libtorch's own product is as fast.
bool libtorch_learns_as_well(const at::Tensor& x) {
  constexpr int64_t kFewRows = 16, kManyRows = 128;
  const auto rows = rows_of(x);
  return (rows < kFewRows || rows >= kManyRows) &&
         product_dtype(x.scalar_type(), rows) == x.scalar_type();
}

}  // namespace

at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool wants_gradient = learns(x);
  if (!serves_frozen_product(x, weight, bias) || (wants_gradient && libtorch_learns_as_well(x))) {
    return at::linear(x, weight, optional(bias));
  }
  if (wants_gradient) return FrozenProduct::apply(x, weight, optional(bias));
  const at::NoGradGuard no_grad;
  return product(x, weight, true, bias);
}

at::Tensor project(const at::Tensor& x, const torch::nn::Linear& layer) {
  return project(x, layer->weight, layer->bias);
}

}  // namespace peft
