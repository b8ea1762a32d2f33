#include "peft/models/common/checkpointing.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::relative_error;

TEST(Checkpoint, GradientsOfInputAndOfParametersInsideAreTheSame) {
  const auto weight = at::randn({5, 5}).requires_grad_(true);
  const auto x = at::randn({3, 5}).requires_grad_(true);
  const auto block = [weight](const at::Tensor& y) { return at::tanh(at::mm(y, weight)); };
  block(block(x)).sum().backward();
  const auto x_gradient = x.grad().clone(), weight_gradient = weight.grad().clone();
  x.mutable_grad().zero_();
  weight.mutable_grad().zero_();
  checkpoint(block, checkpoint(block, x)).sum().backward();
  EXPECT_LT(relative_error(x.grad(), x_gradient), 1e-6);
  EXPECT_LT(relative_error(weight.grad(), weight_gradient), 1e-6);
}

TEST(Checkpoint, ParametersInsideLearnWhereTheInputDoesNot) {
  const auto weight = at::randn({5}).requires_grad_(true);
  const auto x = at::randn({5});
  checkpoint([weight](const at::Tensor& y) { return y * weight; }, x).sum().backward();
  EXPECT_TRUE(at::equal(weight.grad(), x));
}

TEST(Checkpoint, TheSecondRunSeesTheRandomNumbersOfTheFirst) {
  torch::manual_seed(3);
  const auto x = at::ones({1000}).requires_grad_(true);
  const auto y = checkpoint([](const at::Tensor& z) { return at::dropout(z, 0.5, true); }, x);
  const auto after = at::rand({4});
  y.sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), y.detach()));
  torch::manual_seed(3);
  at::dropout(at::ones({1000}), 0.5, true);
  EXPECT_TRUE(at::equal(at::rand({4}), after));
}

TEST(Checkpoint, WithoutGradientsTheBlockRunsOnce) {
  at::NoGradGuard no_grad;
  int runs = 0;
  const auto y = checkpoint(
      [&runs](const at::Tensor& z) {
        ++runs;
        return z + 1;
      },
      at::zeros({2}));
  EXPECT_EQ(runs, 1);
  EXPECT_FALSE(y.requires_grad());
}

}  // namespace
}  // namespace peft
