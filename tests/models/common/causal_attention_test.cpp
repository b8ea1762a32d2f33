#include "peft/models/common/causal_attention.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "peft/tensor/product_dtype.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::relative_error;

struct Inputs {
  at::Tensor q, k, v;
};

// The values in the layout in which a projection leaves them; `before`: keys of no token.
Inputs inputs(int64_t tokens, int64_t heads, int64_t kv_heads, int64_t width, at::ScalarType dtype,
              int64_t before = 0) {
  const auto keys = before + tokens;
  const auto values = at::randn({2, keys, kv_heads, width}).to(dtype).transpose(1, 2);
  return {at::randn({2, heads, tokens, width}).to(dtype).requires_grad_(true),
          at::randn({2, kv_heads, keys, width}).to(dtype).requires_grad_(true),
          values.detach().requires_grad_(true)};
}

at::Tensor causal_written_out(const Inputs& in, double scale) {
  const auto groups = in.q.size(1) / in.k.size(1), tokens = in.q.size(2), count = in.k.size(2);
  const auto keys = in.k.to(at::kDouble).repeat_interleave(groups, 1);
  const auto values = in.v.to(at::kDouble).repeat_interleave(groups, 1);
  const auto hidden = at::ones({tokens, count}, at::kBool).triu(1 + count - tokens);
  const auto scores = at::matmul(in.q.to(at::kDouble), keys.transpose(2, 3)) * scale;
  const auto weights = scores.masked_fill(hidden, -INFINITY).softmax(-1);
  return at::matmul(weights, values).transpose(1, 2).flatten(2);
}

void expect_equal(at::ScalarType dtype, double tolerance) {
  torch::manual_seed(4);
  for (const auto& [before, tokens] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 2}, {0, 63}, {0, 64}, {0, 65}, {0, 150}, {3, 2}, {20, 45}, {64, 64}, {70, 130}}) {
    for (const auto& [heads, kv_heads, width] :
         {std::tuple<int64_t, int64_t, int64_t>{4, 4, 16}, {6, 2, 64}, {3, 1, 6}}) {
      const auto in = inputs(tokens, heads, kv_heads, width, dtype, before);
      ASSERT_TRUE(serves_causal_attention(in.q, in.k, in.v));
      const auto got = causal_attention(in.q, in.k, in.v, 0.3);
      const auto expected = causal_written_out(in, 0.3);
      EXPECT_LT(relative_error(got.to(at::kDouble), expected), tolerance) << tokens;
      const auto probe = at::randn_like(got);
      const auto a = torch::autograd::grad({got}, {in.q, in.k, in.v}, {probe});
      const auto b = torch::autograd::grad({expected}, {in.q, in.k, in.v}, {probe.to(at::kDouble)});
      for (size_t i = 0; i < 3; ++i) {
        // Gradients of scores are small differences of rounded numbers.
        EXPECT_LT(relative_error(a[i].to(at::kDouble), b[i].to(at::kDouble)), 5 * tolerance)
            << before << " + " << tokens << " tokens, gradient " << i;
      }
    }
  }
}

TEST(CausalAttention, EqualsTheFormulaInDoublePrecision) { expect_equal(at::kFloat, 1e-5); }

TEST(CausalAttention, EqualsTheFormulaInBfloat16) {
  if (multiplies_bfloat16_fast()) {
    expect_equal(at::kBFloat16, 1e-2);
  } else {
    const auto in = inputs(8, 2, 2, 4, at::kBFloat16);
    EXPECT_FALSE(serves_causal_attention(in.q, in.k, in.v));
  }
}

TEST(CausalAttention, LargeScoresStayFinite) {
  torch::manual_seed(5);
  auto in = inputs(70, 2, 1, 8, at::kFloat);
  in.q = (in.q.detach() * 200).requires_grad_(true);
  const auto got = causal_attention(in.q, in.k, in.v, 1.0);
  // Scores of a thousand leave four digits after the point.
  EXPECT_LT(relative_error(got.to(at::kDouble), causal_written_out(in, 1.0)), 1e-4);
  const auto slopes = torch::autograd::grad({got.sum()}, {in.q, in.k, in.v});
  for (const auto& slope : slopes) EXPECT_TRUE(slope.isfinite().all().item<bool>());
}

TEST(CausalAttention, OddWidthsAndFewerKeysThanQueriesAreNotServed) {
  const auto odd = inputs(8, 2, 2, 5, at::kFloat);
  EXPECT_FALSE(serves_causal_attention(odd.q, odd.k, odd.v));
  const auto in = inputs(8, 2, 2, 4, at::kFloat);
  EXPECT_FALSE(serves_causal_attention(in.q, in.k.narrow(2, 4, 4), in.v.narrow(2, 4, 4)));
}

}  // namespace
}  // namespace peft
