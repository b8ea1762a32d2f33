#include <ATen/ATen.h>
#include <torch/library.h>

#include "peft/adapter/kernels.h"
#include "peft/adapter/tag_state.h"

namespace peft::dispatch {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// A product reads a weight as a matrix; anything else is left to the operator itself.
FastRoad product_road(const Tensor& x, const Tensor& weight, std::string_view op) {
  auto road = fast_road(x, weight, CallKind::kProduct, op);
  if (road && road.weight.dim() != 2) return {};
  return road;
}

// x Wᵀ where `times_transpose`, else x W. Layers see at least two dimensions.
Tensor take(const FastRoad& road, bool times_transpose, const Tensor& x,
            const OptionalTensor& bias) {
  bool is_vector = x.dim() == 1;
  auto rows = is_vector ? x.unsqueeze(0) : x;
  auto y = times_transpose ? road.layer->linear(rows, road.weight, bias)
                           : road.layer->transposed_linear(rows, road.weight, bias);
  return is_vector ? y.squeeze(0) : y;
}

Tensor linear(const Tensor& x, const Tensor& weight, const OptionalTensor& bias) {
  constexpr auto op = "aten::linear";
  auto input = seen_or_same(x, CallKind::kProduct, op);
  auto offset = seen_or_same(bias, CallKind::kProduct, op);
  if (auto road = product_road(input, weight, op))
    return take(road, !road.transposed, input, offset);
  return at::linear(input, seen_or_same(weight, CallKind::kProduct, op), offset);
}

Tensor addmm(const Tensor& bias, const Tensor& x, const Tensor& weight, const at::Scalar& beta,
             const at::Scalar& alpha) {
  constexpr auto op = "aten::addmm";
  auto input = seen_or_same(x, CallKind::kProduct, op);
  auto offset = seen_or_same(bias, CallKind::kProduct, op);
  auto road = input.dim() == 2 ? product_road(input, weight, op) : FastRoad{};
  if (!road) {
    return at::addmm(offset, input, seen_or_same(weight, CallKind::kProduct, op), beta, alpha);
  }
  bool as_linear =
      beta.equal(1) && alpha.equal(1) && offset.dim() == 1 && offset.size(0) == weight.size(1);
  if (as_linear) return take(road, road.transposed, input, offset);
  auto y = take(road, road.transposed, input, {});
  if (!alpha.equal(1)) y = y * alpha;
  if (beta.equal(0)) return y;
  return y + (offset.to(y.scalar_type()) * beta).expand_as(y);
}

Tensor mm(const Tensor& x, const Tensor& weight) {
  constexpr auto op = "aten::mm";
  auto input = seen_or_same(x, CallKind::kProduct, op);
  auto road = input.dim() == 2 ? product_road(input, weight, op) : FastRoad{};
  if (road) return take(road, road.transposed, input, {});
  return at::mm(input, seen_or_same(weight, CallKind::kProduct, op));
}

Tensor matmul(const Tensor& x, const Tensor& weight) {
  constexpr auto op = "aten::matmul";
  auto input = seen_or_same(x, CallKind::kProduct, op);
  auto road = input.dim() > 0 ? product_road(input, weight, op) : FastRoad{};
  if (road) return take(road, road.transposed, input, {});
  return at::matmul(input, seen_or_same(weight, CallKind::kProduct, op));
}

}  // namespace

void register_product_kernels(torch::Library& aten) {
  aten.impl("linear", linear);
  aten.impl("addmm", addmm);
  aten.impl("mm", mm);
  aten.impl("matmul", matmul);
}

}  // namespace peft::dispatch
