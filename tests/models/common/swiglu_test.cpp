#include "peft/models/common/swiglu.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::relative_error;

TEST(Swiglu, ValueAndGradientsEqualTheFormula) {
  for (const int64_t width : {1, 7, 16, 1000}) {
    const auto gate = (at::randn({33, width}) * 4).requires_grad_(true);
    const auto up = at::randn({33, width}).requires_grad_(true);
    const auto gate_copy = gate.detach().clone().requires_grad_(true);
    const auto up_copy = up.detach().clone().requires_grad_(true);
    const auto probe = at::randn({33, width});
    const auto got = swiglu(gate, up), expected = at::silu(gate_copy) * up_copy;
    EXPECT_LT(relative_error(got, expected), 1e-6);
    (got * probe).sum().backward();
    (expected * probe).sum().backward();
    EXPECT_LT(relative_error(gate.grad(), gate_copy.grad()), 2e-6);
    EXPECT_LT(relative_error(up.grad(), up_copy.grad()), 2e-6);
  }
}

TEST(Swiglu, ExtremeGatesStayFinite) {
  const auto gate = at::tensor({-1e30F, -200.0F, -88.0F, 0.0F, 88.0F, 200.0F, 1e30F});
  const auto up = at::ones({7});
  EXPECT_LT(relative_error(swiglu(gate, up).div(gate.abs().clamp_min(1)),
                           at::silu(gate).div(gate.abs().clamp_min(1))),
            1e-6);
}

TEST(Swiglu, Bfloat16RoundsWherePythonRounds) {
  const auto gate = at::randn({50, 33}).to(at::kBFloat16),
             up = at::randn({50, 33}).to(at::kBFloat16);
  const auto expected = at::silu(gate) * up;
  EXPECT_LT(relative_error(swiglu(gate, up), expected), 1e-2);
  EXPECT_EQ(swiglu(gate, up).scalar_type(), at::kBFloat16);
}

TEST(Swiglu, ReadsTensorsThatAreNotContiguous) {
  const auto gate = at::randn({6, 5}).t(), up = at::randn({6, 5}).t();
  EXPECT_LT(relative_error(swiglu(gate, up), at::silu(gate) * up), 1e-6);
}

}  // namespace
}  // namespace peft
