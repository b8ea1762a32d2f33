#include "peft/models/t5/position_bias.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace peft::t5 {
namespace {

double lowest(at::ScalarType dtype) {
  return AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, dtype, "lowest", [] {
    return static_cast<double>(std::numeric_limits<scalar_t>::lowest());
  });
}

}  // namespace

at::Tensor PositionBuckets::of(const at::Tensor& distances) const {
  const auto each = bidirectional ? count / 2 : count;  // buckets of one direction
  const auto exact = each / 2;                          // for the distances 0, 1, 2, ...
  const auto distance = bidirectional ? distances.abs() : distances.neg().clamp_min(0);
  // The others grow with the logarithm of the distance.
  const auto share = at::log(distance.to(at::kFloat) / static_cast<double>(exact)) /
                     std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const auto far =
      ((share * (each - exact)).clamp_min(0).to(at::kLong) + exact).clamp_max(each - 1);
  const auto bucket = at::where(distance < exact, distance, far);
  return bidirectional ? bucket + distances.gt(0).to(at::kLong) * each : bucket;
}

at::Tensor position_bias(const at::Tensor& weight, const PositionBuckets& buckets, int64_t queries,
                         int64_t past) {
  const auto device = weight.device();
  const auto query = (at::arange(queries, device) + past).unsqueeze(1);  // [T, 1]
  const auto key = at::arange(past + queries, device).unsqueeze(0);      // [1, S]
  return at::embedding(weight, buckets.of(key - query)).permute({2, 0, 1}).unsqueeze(0);
}

AttentionMask with_bias(const AttentionMask& mask, const at::Tensor& bias) {
  const auto low = lowest(bias.scalar_type());
  if (mask.additive.defined()) return {.additive = at::where(mask.additive.eq(0), bias, low)};
  if (!mask.causal) return {.additive = bias};
  const auto visible =
      at::ones({bias.size(2), bias.size(3)}, bias.options().dtype(at::kBool).requires_grad(false))
          .tril(bias.size(3) - bias.size(2));
  return {.additive = at::where(visible, bias, low)};
}

}  // namespace peft::t5
