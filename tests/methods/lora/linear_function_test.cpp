#include "peft/methods/lora/linear_function.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace peft::lora {
namespace {

using at::Tensor;

struct Case {
  Tensor x = torch::randn({2, 3, 6}, torch::kDouble).requires_grad_();
  Tensor weight = torch::randn({5, 6}, torch::kDouble).requires_grad_();
  Tensor bias = torch::randn({5}, torch::kDouble).requires_grad_();
  Tensor a = torch::randn({4, 6}, torch::kDouble).requires_grad_();
  Tensor b = torch::randn({5, 4}, torch::kDouble).requires_grad_();

  std::vector<Tensor> leaves() const { return {x, weight, bias, a, b}; }
  Tensor fused() const { return lora_linear(x, weight, bias, {a, b, 1.5, 0.0}); }
  Tensor plain() const { return at::linear(x, weight + 1.5 * b.mm(a), bias); }
};

TEST(LoraLinear, OutputAndGradientsEqualThoseOfTheSummedWeight) {
  torch::manual_seed(0);
  const Case c;
  EXPECT_TRUE(at::allclose(c.fused(), c.plain()));
  const auto ours = torch::autograd::grad({c.fused().pow(3).sum()}, c.leaves());
  const auto reference = torch::autograd::grad({c.plain().pow(3).sum()}, c.leaves());
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(at::allclose(ours[i], reference[i])) << i;
}

TEST(LoraLinear, SecondDerivativesAreExact) {
  torch::manual_seed(0);
  const Case c;
  const auto second = [&](const Tensor& y) {
    const auto first = torch::autograd::grad({y.pow(3).sum()}, c.leaves(), {}, true, true);
    Tensor sum = torch::zeros({}, torch::kDouble);
    for (const Tensor& g : first) sum = sum + g.square().sum();
    return torch::autograd::grad({sum}, c.leaves());
  };
  const auto ours = second(c.fused()), reference = second(c.plain());
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(at::allclose(ours[i], reference[i])) << i;
}

TEST(LoraLinear, DropoutScalesWhatItKeepsAndItsGradientAgrees) {
  torch::manual_seed(0);
  const Tensor x = torch::ones({1000, 4});
  const Tensor weight = torch::zeros({1, 4});
  Tensor a = torch::ones({1, 4}).requires_grad_(), b = torch::ones({1, 1}).requires_grad_();
  const Tensor y = lora_linear(x, weight, std::nullopt, {a, b, 1.0, 0.25});
  EXPECT_NEAR(y.mean().item<double>(), 4.0, 0.15);
  y.sum().backward();
  EXPECT_NEAR(a.grad().sum().item<double>(), y.sum().item<double>(), 0.5);
  EXPECT_NEAR(b.grad().item<double>(), y.sum().item<double>(), 0.5);
}

TEST(LoraLinear, HalfPrecisionBaseGivesFloat32Gradients) {
  torch::manual_seed(0);
  const Tensor x = torch::randn({3, 6}).to(torch::kBFloat16).requires_grad_();
  const Tensor weight = torch::randn({5, 6}).to(torch::kBFloat16);
  Tensor a = torch::randn({4, 6}).requires_grad_(), b = torch::randn({5, 4}).requires_grad_();
  const Tensor y = lora_linear(x, weight, std::nullopt, {a, b, 1.0, 0.0});
  EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
  y.sum().backward();
  EXPECT_EQ(a.grad().scalar_type(), torch::kFloat);
  EXPECT_EQ(x.grad().scalar_type(), torch::kBFloat16);
  const Tensor expected = b.detach().sum(0).unsqueeze(1) * x.detach().to(torch::kFloat).sum(0);
  EXPECT_TRUE(at::allclose(a.grad(), expected, 3e-2, 1e-1));
}

}  // namespace
}  // namespace peft::lora
