#include "peft/models/common/project.h"

#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

namespace peft {
namespace {

constexpr double kTolerance = 2e-6, kHalfTolerance = 1.0 / 64;

struct ProjectCase {
  at::ScalarType dtype;
  int64_t rows;
  bool turned;  // the weight is the transpose of a dense matrix
  bool bias;
};

double error(const at::Tensor& got, const at::Tensor& expected) {
  return ((got.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
}

std::vector<ProjectCase> cases() {
  std::vector<ProjectCase> all;
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const int64_t rows : {1, 5, 18, 65, 130}) {
      for (const bool turned : {false, true}) all.push_back({dtype, rows, turned, !turned});
    }
  }
  return all;
}

TEST(Project, GivesTheProductAndItsGradientInDoublePrecision) {
  torch::manual_seed(2);
  for (const auto& [dtype, rows, turned, with_bias] : cases()) {
    const double tolerance = dtype == at::kFloat ? kTolerance : kHalfTolerance;
    const auto weight =
        turned ? torch::randn({34, 50}).to(dtype).t() : torch::randn({50, 34}).to(dtype);
    const auto bias = with_bias ? torch::randn({50}).to(dtype) : at::Tensor();
    const auto given = torch::randn({1, rows, 34}).to(dtype),
               slope = torch::randn({1, rows, 50}).to(dtype);
    auto expected = given.to(at::kDouble).matmul(weight.to(at::kDouble).t());
    if (with_bias) expected = expected + bias.to(at::kDouble);
    EXPECT_LT(error(project(given, weight, bias), expected), tolerance) << dtype << " " << rows;
    const auto x = given.clone().requires_grad_(true);
    const auto y = project(x, weight, bias);
    EXPECT_EQ(y.scalar_type(), dtype);
    EXPECT_LT(error(y.detach(), expected), tolerance) << dtype << " " << rows;
    y.backward(slope);
    EXPECT_LT(error(x.grad(), slope.to(at::kDouble).matmul(weight.to(at::kDouble))), tolerance)
        << dtype << " " << rows;
  }
}

TEST(Project, AWeightThatLearnsGetsItsGradient) {
  torch::manual_seed(3);
  const auto x = torch::randn({20, 8});
  for (const bool weight_learns : {true, false}) {
    auto weight = torch::randn({6, 8}).requires_grad_(weight_learns);
    auto bias = torch::randn({6}).requires_grad_(!weight_learns);
    project(x, weight, bias).sum().backward();
    EXPECT_EQ(weight.grad().defined(), weight_learns);
    EXPECT_EQ(bias.grad().defined(), !weight_learns);
    const at::NoGradGuard no_grad;
    EXPECT_LT(error(project(x, weight, bias), at::linear(x, weight, bias).to(at::kDouble)),
              kTolerance);
  }
}

TEST(Project, HasSecondDerivatives) {
  torch::manual_seed(4);
  const auto weight = torch::randn({6, 8});
  const auto x = torch::randn({20, 8}).requires_grad_(true);
  const auto first =
      torch::autograd::grad({project(x.square(), weight).square().sum()}, {x}, {}, true, true)[0];
  const auto plain = torch::autograd::grad({at::linear(x.square(), weight).square().sum()}, {x}, {},
                                           true, true)[0];
  const auto got = torch::autograd::grad({first.sum()}, {x})[0];
  const auto expected = torch::autograd::grad({plain.sum()}, {x})[0];
  EXPECT_LT(error(got, expected.to(at::kDouble)), 1e-5);
}

TEST(Project, KeepsWhatAutocastAsksFor) {
  torch::manual_seed(5);
  const auto x = torch::randn({20, 8}).requires_grad_(true), weight = torch::randn({6, 8});
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const auto y = project(x, weight);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
}

}  // namespace
}  // namespace peft
