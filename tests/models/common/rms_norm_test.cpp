#include "peft/models/common/rms_norm.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::relative_error;

constexpr double kEps = 1e-5;

at::Tensor norm_written_out(const at::Tensor& x, const at::Tensor& weight) {
  return weight * (x * at::rsqrt(x.square().mean(-1, true) + kEps));
}

// Odd widths leave a rest behind the vector loops; many rows take several threads.
class RmsNormShapes : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(RmsNormShapes, ValueAndGradientEqualTheFormula) {
  const auto [rows, width] = GetParam();
  const auto x = at::randn({rows, width}).requires_grad_(true);
  const auto copy = x.detach().clone().requires_grad_(true);
  const auto weight = at::randn({width}), probe = at::randn({rows, width});
  const auto got = rms_norm(x, weight, kEps), expected = norm_written_out(copy, weight);
  EXPECT_LT(relative_error(got, expected), 1e-5);
  (got * probe).sum().backward();
  (expected * probe).sum().backward();
  EXPECT_LT(relative_error(x.grad(), copy.grad()), 1e-5);
}

TEST_P(RmsNormShapes, TheSumAndItsNormCarryBothGradients) {
  const auto [rows, width] = GetParam();
  const auto x = at::randn({rows, width}).requires_grad_(true);
  const auto delta = at::randn({rows, width}).requires_grad_(true);
  const auto copy = (x.detach() + delta.detach()).requires_grad_(true);
  const auto weight = at::randn({width}), probe = at::randn({rows, width});
  const auto [sum, norm] = add_rms_norm(x, delta, weight, kEps);
  EXPECT_TRUE(at::equal(sum, copy));
  EXPECT_LT(relative_error(norm, norm_written_out(copy, weight)), 1e-5);
  (norm * probe + sum.square()).sum().backward();
  (norm_written_out(copy, weight) * probe + copy.square()).sum().backward();
  EXPECT_LT(relative_error(x.grad(), copy.grad()), 1e-5);
  EXPECT_LT(relative_error(delta.grad(), copy.grad()), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Shapes, RmsNormShapes,
                         testing::Values(std::pair{2, 3}, std::pair{3, 7}, std::pair{5, 16},
                                         std::pair{4, 33}, std::pair{300, 576}));

TEST(RmsNorm, OneOfTheTwoResultsMayBeUnused) {
  const auto weight = at::randn({6});
  for (const bool use_sum : {true, false}) {
    const auto x = at::randn({2, 6}).requires_grad_(true), delta = at::randn({2, 6});
    const auto [sum, norm] = add_rms_norm(x, delta, weight, kEps);
    (use_sum ? sum : norm).sum().backward();
    EXPECT_TRUE(x.grad().defined());
  }
}

TEST(RmsNorm, ATrainedWeightGetsItsGradient) {
  const auto x = at::randn({4, 8});
  const auto weight = at::randn({8}).requires_grad_(true);
  const auto copy = weight.detach().clone().requires_grad_(true);
  rms_norm(x, weight, kEps).square().sum().backward();
  norm_written_out(x, copy).square().sum().backward();
  EXPECT_LT(relative_error(weight.grad(), copy.grad()), 1e-5);
}

TEST(RmsNorm, Bfloat16RoundsWherePythonRounds) {
  const auto x = at::randn({9, 40}).to(at::kBFloat16), weight = at::randn({40}).to(at::kBFloat16);
  const auto wide = x.to(at::kFloat);
  const auto normed = (wide * at::rsqrt(wide.square().mean(-1, true) + kEps)).to(at::kBFloat16);
  EXPECT_LT(relative_error(rms_norm(x, weight, kEps), weight * normed), 1e-2);
}

TEST(RmsNorm, SecondDerivativesAreRefused) {
  const auto x = at::randn({2, 6}).requires_grad_(true);
  const auto y = rms_norm(x, at::ones({6}), kEps).square().sum();
  EXPECT_THROW(torch::autograd::grad({y}, {x}, {}, std::nullopt, /*create_graph=*/true),
               UnsupportedError);
}

}  // namespace
}  // namespace peft
