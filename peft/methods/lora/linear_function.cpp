#include "peft/methods/lora/linear_function.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/tensor/block_product.h"
#include "peft/tensor/product_dtype.h"

namespace peft::lora {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Product {
  Tensor a, b;  // in the dtype of the products
  Tensor y;     // [N, O]
  Tensor low;   // [N, R], s · x Aᵀ after dropout
  Tensor keep;  // [N, I] scaled mask; undefined without dropout
};

// The dtype that the products of these rows are made in; on the CPU it may be wider than theirs.
at::ScalarType working_dtype(const Tensor& rows) {
  return rows.is_cpu() ? product_dtype(rows.scalar_type(), rows.size(0)) : rows.scalar_type();
}

// Few rows that learn stay with libtorch: the kernel for them is made for generation.
Tensor multiply(const BlockProduct& product, bool learns) {
  constexpr int64_t kFewRows = 16;
  return learns && product.x.size(0) < kFewRows ? libtorch_product(product)
                                                : frozen_product(product);
}

Product product(const Tensor& given, const Tensor& weight, const Tensor& bias,
                const LinearUpdate& update, bool learns) {
  at::NoGradGuard no_grad;
  const auto dtype = working_dtype(given);
  const Tensor rows = given.to(dtype);
  Product out{.a = update.a.to(dtype), .b = update.b.to(dtype)};
  Tensor seen = rows;
  if (update.dropout > 0.0) {
    out.keep = at::empty_like(rows).bernoulli_(1.0 - update.dropout);
    if (update.dropout < 1.0) out.keep.div_(1.0 - update.dropout);
    seen = rows * out.keep;
  }
  out.low =
      multiply({.x = seen, .weight = out.a, .transposed = true, .scale = update.scaling}, learns);
  out.y = multiply({.x = rows,
                    .weight = weight.to(dtype),
                    .transposed = true,
                    .low = out.low,
                    .factor = out.b,
                    .bias = bias.defined() ? bias.to(dtype) : bias},
                   learns);
  out.y = out.y.to(given.scalar_type());
  return out;
}

std::vector<int64_t> output_shape(const Tensor& x, const Tensor& weight) {
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return shape;
}

Tensor as_rows(const Tensor& x) { return x.dim() == 2 ? x : x.reshape({-1, x.size(-1)}); }

// The places of the inputs of the node, which are those of its gradients too.
enum Input { kX, kWeight, kBias, kA, kB, kScaling, kDropout, kInputs };

// dy W + (dlow A) · keep
Tensor input_gradient(const Tensor& dy, const Tensor& weight, const Tensor& dlow, const Tensor& a,
                      const Tensor& keep) {
  if (!keep.defined()) {
    return frozen_product({.x = dy, .weight = weight, .low = dlow, .factor = a});
  }
  return frozen_product({.x = dy, .weight = weight}).add_(at::mm(dlow, a).mul_(keep));
}

// leftᵀ right in the dtype of an adapter's factor.  left [N, R], right [N, M]
Tensor turned_product(const Tensor& left, const Tensor& right, at::ScalarType dtype) {
  if (at::GradMode::is_enabled()) return at::mm(left.t(), right).to(dtype);
  const bool keep_float = dtype == at::kFloat;
  return frozen_product({.x = left.t().contiguous(), .weight = right, .keep_float = keep_float})
      .to(dtype);
}

class LoraLinear : public torch::autograd::Function<LoraLinear> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias, const Tensor& a, const Tensor& b,
                        double scaling, double dropout) {
    const Tensor offset = bias.value_or(Tensor());
    Product out = product(as_rows(x), weight, offset, {a, b, scaling, dropout}, true);
    context->save_for_backward({x, weight, a, b, out.low, out.keep, out.a, out.b});
    context->saved_data["scaling"] = scaling;
    context->saved_data["bias_learns"] = offset.defined() && offset.requires_grad();
    // Not a view to autograd: modules add their bias in place.
    return at::_unsafe_view(out.y, output_shape(x, weight));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &a = saved[2], &b = saved[3], &keep = saved[5];
    const double scaling = context->saved_data["scaling"].toDouble();
    variable_list out(kInputs);
    if (!gradients[0].defined()) return out;
    const auto dtype = working_dtype(as_rows(x));
    const Tensor rows = as_rows(x).to(dtype);
    const Tensor dy = as_rows(gradients[0]).to(dtype);        // [N, O]
    const Tensor seen = keep.defined() ? rows * keep : rows;  // [N, I]
    Tensor wide_a = saved[6], wide_b = saved[7];              // in the dtype of the products
    Tensor low = saved[4], dlow, dx;                          // [N, R], [N, R], [N, I]
    if (at::GradMode::is_enabled()) {
      // A second derivative needs plain operators, and anew what forward kept without a graph.
      wide_a = a.to(dtype);
      wide_b = b.to(dtype);
      low = at::mm(seen, wide_a.t()) * scaling;
      dlow = at::mm(dy, wide_b) * scaling;
      const Tensor update = at::mm(dlow, wide_a);
      dx = at::mm(dy, weight.to(dtype)) + (keep.defined() ? update * keep : update);
    } else {
      dlow = frozen_product({.x = dy, .weight = wide_b, .scale = scaling});
      if (x.requires_grad()) dx = input_gradient(dy, weight.to(dtype), dlow, wide_a, keep);
    }
    if (x.requires_grad()) out[kX] = dx.to(x.scalar_type()).view(x.sizes());
    if (weight.requires_grad()) out[kWeight] = at::mm(dy.t(), rows).to(weight.scalar_type());
    if (context->saved_data["bias_learns"].toBool())
      out[kBias] = dy.sum(0).to(gradients[0].scalar_type());
    if (a.requires_grad()) out[kA] = turned_product(dlow, seen, a.scalar_type());
    if (b.requires_grad()) out[kB] = turned_product(low, dy, b.scalar_type()).t();
    return out;
  }
};

}  // namespace

Tensor lora_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                   const LinearUpdate& update) {
  const Tensor offset = bias.value_or(Tensor());
  const bool learns = at::GradMode::is_enabled() &&
                      (x.requires_grad() || weight.requires_grad() || update.a.requires_grad() ||
                       update.b.requires_grad() || (offset.defined() && offset.requires_grad()));
  if (!learns) {
    return product(as_rows(x), weight, offset, update, false).y.view(output_shape(x, weight));
  }
  const auto given = offset.defined() ? std::optional(offset) : std::nullopt;
  return LoraLinear::apply(x, weight, given, update.a, update.b, update.scaling, update.dropout);
}

}  // namespace peft::lora
