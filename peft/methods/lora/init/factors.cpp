#include "peft/methods/lora/init/factors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/methods/lora/init/low_rank.h"
#include "peft/methods/lora/init/quantise.h"

namespace peft::lora {
namespace {

using at::Tensor;

// W - (s B) A: Python's order of the products.
Tensor without_product(const Tensor& weight, double scaling, const Tensor& b, const Tensor& a) {
  return weight - at::matmul(scaling * b, a);
}

// At most `rank` of the leading columns.
Tensor leading(const Tensor& tensor, int64_t dim, int64_t rank) {
  return tensor.slice(dim, 0, rank);
}

void check_shape(const char* name, const Tensor& tensor, at::IntArrayRef expected) {
  if (tensor.sizes() != expected) {
    throw ConfigError(std::string("CorDA's matrix ") + name + ": expected shape " +
                      shape_text(expected.vec()) + ", got " + shape_text(tensor.sizes().vec()) +
                      ". Run preprocess_corda with the config and the model that are adapted.");
  }
  if (!at::isfinite(tensor).all().item<bool>()) {
    throw ConfigError(std::string("CorDA's matrix ") + name +
                      ": expected finite numbers, got NaN or infinity. Run preprocess_corda "
                      "with other data.");
  }
}

Tensor quantised(const Tensor& weight, int64_t bits) {
  return bits == 4 ? dequantise(quantise_nf4(weight)) : dequantise(quantise_int8(weight));
}

// Which of the 2 R components A and B get.
struct Choice {
  Tensor a, b;  // indices
};

Choice choose(const std::string& direction, int64_t rank) {
  const auto range = [](int64_t begin, int64_t end, int64_t step) {
    return at::arange(begin, end, step, at::kLong);
  };
  if (direction == "ArBr") return {range(1, 2 * rank, 2), range(0, 2 * rank, 2)};
  if (direction == "A2rBr") return {range(rank, 2 * rank, 1), range(0, rank, 1)};
  if (direction == "ArB2r") return {range(0, rank, 1), range(rank, 2 * rank, 1)};
  const Tensor random = at::randperm(2 * rank, at::kLong).slice(0, 0, rank);
  return {random, random};
}

}  // namespace

Factors pissa_factors(const Tensor& weight, int64_t rank, double scaling,
                      std::optional<int64_t> iterations) {
  Tensor u, s, vh;
  if (iterations) {
    const LowRank found = svd_lowrank(weight, rank, *iterations);
    u = found.u, s = found.s, vh = found.v.t();
  } else {
    const auto [all_u, all_s, all_vh] = at::linalg_svd(weight, false);
    u = leading(all_u, 1, rank), s = leading(all_s, 0, rank), vh = leading(all_vh, 0, rank);
  }
  const Tensor root = (s / scaling).sqrt().diag();
  Factors factors{.a = at::matmul(root, vh), .b = at::matmul(u, root)};
  factors.weight = without_product(weight, scaling, factors.b, factors.a);
  return factors;
}

Factors olora_factors(const Tensor& weight, int64_t rank, double scaling) {
  const auto [q, r] = at::linalg_qr(weight);
  Factors factors{.a = leading(r, 0, rank).contiguous(), .b = leading(q, 1, rank).contiguous()};
  factors.weight = without_product(weight, scaling, factors.b, factors.a);
  return factors;
}

Factors mica_factors(const Tensor& weight, int64_t rank) {
  const int64_t most = std::min(weight.size(0), weight.size(1));
  if (rank > most) {
    throw ConfigError("MiCA: expected a rank of at most " + std::to_string(most) +
                      ", the smaller side of the weight, got r = " + std::to_string(rank) +
                      ". Lower r, or give the module a rank of its own in rank_pattern.");
  }
  const Tensor u = std::get<0>(at::linalg_svd(weight, false));
  return {.a = at::zeros({rank, weight.size(1)}, weight.options()),
          .b = u.slice(1, u.size(1) - rank).contiguous()};
}

Factors corda_factors(const Tensor& weight, int64_t rank, double scaling,
                      const CordaEigens& eigens) {
  check_shape("U", eigens.u, {weight.size(0), rank});
  check_shape("S", eigens.s, {rank});
  check_shape("V", eigens.v, {weight.size(1), rank});
  const Tensor root = (eigens.s / scaling).sqrt();
  Factors factors{.a = eigens.v.t().mul(root.view({-1, 1})).contiguous(),
                  .b = eigens.u.mul(root).contiguous()};
  factors.weight = without_product(weight, scaling, factors.b, factors.a);
  return factors;
}

Factors low_rank_factors(const Tensor& matrix, int64_t rank) {
  const auto [u, s, vh] = at::linalg_svd(matrix, false);
  const Tensor root = leading(s, 0, rank).sqrt().diag();
  return {.a = at::matmul(root, leading(vh, 0, rank)), .b = at::matmul(leading(u, 1, rank), root)};
}

Factors loftq_factors(const Tensor& weight, int64_t rank, const LoftQConfig& settings) {
  Factors factors;
  Tensor rest = weight;
  for (int64_t i = 0; i < settings.loftq_iter; ++i) {
    const Tensor whole = quantised(rest, settings.loftq_bits);
    factors = low_rank_factors(weight - whole, rank);
    factors.weight = whole;
    rest = weight - at::matmul(factors.b, factors.a);
  }
  return factors;
}

Factors orthogonal_factors(const Tensor& random, const Tensor& random_in,
                           const Tensor& random_out) {
  const Tensor q = std::get<0>(at::linalg_qr(random));
  const Tensor odd = q.slice(0, 0, std::nullopt, 2), even = q.slice(0, 1, std::nullopt, 2);
  return {.a = (at::mm(random_in, odd).t() / 10.0).contiguous(),
          .b = (at::mm(random_out.t(), even) / 10.0).contiguous()};
}

Factors lora_ga_factors(const Tensor& weight, int64_t rank, const GradientInit& init) {
  const int64_t side = std::min(weight.size(0), weight.size(1));
  if (2 * rank > side) {
    throw ConfigError("LoRA-GA: expected a rank of at most " + std::to_string(side / 2) +
                      ", half of the weight's smaller side, got r = " + std::to_string(rank) +
                      ". Lower r, or give the module a rank of its own in rank_pattern.");
  }
  const LowRank found = svd_lowrank(init.gradient, std::min(4 * rank, side), 4);
  const Choice choice = choose(init.settings.direction, rank);
  const Tensor of_b = choice.b.to(found.s.device());
  const Tensor s = found.s.index_select(0, of_b);
  Tensor a = found.v.t().index_select(0, choice.a.to(found.v.device()));
  Tensor b = at::matmul(found.u.index_select(1, of_b), s.diag());
  if (init.settings.scale == "stable") {
    b = b * (std::pow(static_cast<double>(init.stored_rows), 0.25) /
             std::sqrt(static_cast<double>(init.settings.stable_gamma)));
  } else if (init.settings.scale == "weight_svd") {
    const Tensor largest = svd_lowrank(weight, rank, 4).s[0];
    if (s[0].item<double>() > 0) b = b * (largest / s[0]);
  } else if (init.settings.scale == "gd_scale") {
    a = a / init.scaling;
    b = b / init.scaling;
  }
  // The base gives away exactly what the adapter holds in the weight's own type.
  Factors factors{.a = a.to(init.dtype).to(at::kFloat).contiguous(),
                  .b = b.to(init.dtype).to(at::kFloat).contiguous()};
  factors.weight = weight - init.scaling * at::matmul(factors.b, factors.a);
  return factors;
}

}  // namespace peft::lora
