#include "peft/models/common/linear_cross_entropy.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>

#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::relative_error;

struct Case {
  at::Tensor hidden, weight, rows, labels;
};

Case make_case(int64_t vocab) {
  return {.hidden = at::randn({40, 12}).requires_grad_(true),
          .weight = at::randn({vocab, 12}),
          .rows = at::randperm(40, at::kLong).narrow(0, 0, 25),
          .labels = at::randint(0, vocab, {25}, at::kLong)};
}

// In double: over a large vocabulary float32 sums are no judge.
at::Tensor reference(const Case& c) {
  const auto hidden = c.hidden.index_select(0, c.rows).to(at::kDouble);
  const auto logits = at::mm(hidden, c.weight.to(at::kDouble).t());
  return at::cross_entropy_loss(logits, c.labels, {}, at::Reduction::Sum);
}

// How far libtorch's own float32 cross-entropy lies from the exact gradient of `hidden`.
double error_of_libtorch(const Case& c, const at::Tensor& exact) {
  const auto hidden = c.hidden.detach().clone().requires_grad_(true);
  const auto logits = at::mm(hidden.index_select(0, c.rows), c.weight.detach().t());
  (at::cross_entropy_loss(logits, c.labels, {}, at::Reduction::Sum) * 0.5).backward();
  return relative_error(hidden.grad(), exact);
}

// The large vocabulary makes more chunks than one.
TEST(LinearCrossEntropy, LossAndGradientEqualTheWholeLogits) {
  torch::manual_seed(c10::default_rng_seed_val);  // whatever ran before
  for (const int64_t vocab : {3, 50, 800000}) {
    for (const bool frozen : {true, false}) {
      auto c = make_case(vocab);
      c.weight.requires_grad_(!frozen);
      const auto expected = reference(c);
      (expected * 0.5).backward();
      const auto gradient = c.hidden.grad().clone();
      // Over very many terms no float32 sum is exact.
      const double tolerance = std::max(1e-5, 4 * error_of_libtorch(c, gradient));
      const auto weight_gradient = frozen ? at::Tensor() : c.weight.grad().clone();
      c.hidden.mutable_grad().zero_();
      if (!frozen) c.weight.mutable_grad().zero_();
      const auto got = linear_cross_entropy_sum(c.hidden, c.weight, c.rows, c.labels);
      EXPECT_NEAR(got.item<double>() / expected.item<double>(), 1.0, 1e-5);
      (got * 0.5).backward();
      EXPECT_LT(relative_error(c.hidden.grad(), gradient), tolerance);
      if (!frozen) {
        EXPECT_LT(relative_error(c.weight.grad(), weight_gradient), tolerance);
      }
    }
  }
}

TEST(LinearCrossEntropy, NoRowsGiveAZeroThatCanBeDifferentiated) {
  for (const bool frozen : {true, false}) {
    auto c = make_case(20);
    c.weight.requires_grad_(!frozen);
    const auto none = at::empty({0}, at::kLong);
    const auto loss = linear_cross_entropy_sum(c.hidden, c.weight, none, none);
    EXPECT_EQ(loss.item<double>(), 0.0);
    loss.backward();
    EXPECT_EQ(c.hidden.grad().abs().sum().item<double>(), 0.0);
  }
}

TEST(LinearCrossEntropy, ACertainTokenHasAlmostNoLossAndNoLostDigits) {
  auto hidden = at::full({1, 1}, 30.0).requires_grad_(true);
  const auto weight = at::tensor({1.0F, 0.0F}).unsqueeze(1);
  const auto row = at::zeros({1}, at::kLong);
  const auto loss = linear_cross_entropy_sum(hidden, weight, row, row);
  EXPECT_NEAR(loss.item<double>(), 0.0, 1e-6);
  loss.backward();
  EXPECT_TRUE(at::isfinite(hidden.grad()).all().item<bool>());
}

TEST(LinearCrossEntropy, Bfloat16StaysCloseToFloat) {
  const auto c = make_case(300);
  const auto half = c.hidden.detach().to(at::kBFloat16).requires_grad_(true);
  const auto got = linear_cross_entropy_sum(half, c.weight.to(at::kBFloat16), c.rows, c.labels);
  EXPECT_NEAR(got.item<double>() / reference(c).item<double>(), 1.0, 1e-2);
  got.backward();
  reference(c).backward();
  EXPECT_LT(relative_error(half.grad(), c.hidden.grad()), 3e-2);
}

}  // namespace
}  // namespace peft
