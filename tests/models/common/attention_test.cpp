#include "peft/models/common/attention.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "tests/models/golden_file.h"

namespace peft {
namespace {

using test::relative_error;

at::Tensor attention_written_out(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 const at::Tensor& additive, double scale) {
  const auto groups = q.size(1) / k.size(1);
  const auto keys = k.repeat_interleave(groups, 1), values = v.repeat_interleave(groups, 1);
  const auto weights = (at::matmul(q, keys.transpose(2, 3)) * scale + additive).softmax(-1);
  return at::matmul(weights, values).transpose(1, 2).reshape({q.size(0), q.size(2), -1});
}

TEST(Attention, ValueAndGradientsEqualTheFormulaForEverySharingOfHeads) {
  for (const int64_t kv_heads : {1, 2, 4}) {
    for (const int64_t tokens : {1, 5, 40}) {
      const auto make = [&](int64_t heads) {
        return at::randn({2, heads, tokens, 6}).requires_grad_(true);
      };
      const auto q = make(4), k = make(kv_heads), v = make(kv_heads);
      const auto mask = make_attention_mask({.batch = 2, .queries = tokens});
      const auto additive = at::full({tokens, tokens}, -INFINITY).triu(1);
      const auto got = attend(q, k, v, mask, {.scale = 0.4});
      const auto expected =
          attention_written_out(q, k, v, additive.nan_to_num(0, 0, -INFINITY), 0.4);
      EXPECT_LT(relative_error(got, expected), 1e-5);
      const auto probe = at::randn_like(got);
      const auto a = torch::autograd::grad({(got * probe).sum()}, {q, k, v});
      const auto b = torch::autograd::grad({(expected * probe).sum()}, {q, k, v});
      for (size_t i = 0; i < 3; ++i) EXPECT_LT(relative_error(a[i], b[i]), 1e-4) << i;
    }
  }
}

TEST(AttentionMask, IsLeftAwayWhereCausalityAloneDecides) {
  EXPECT_TRUE(make_attention_mask({.queries = 5}).causal);
  EXPECT_FALSE(make_attention_mask({.queries = 1, .past = 4}).causal);
  EXPECT_FALSE(make_attention_mask({.queries = 1, .past = 4}).additive.defined());
  EXPECT_TRUE(make_attention_mask({.queries = 5, .past = 4}).causal);
  EXPECT_TRUE(make_attention_mask({.queries = 5, .padding = at::ones({1, 5})}).causal);
  EXPECT_TRUE(make_attention_mask({.queries = 5, .window = 5}).causal);
}

TEST(AttentionMask, AWindowIncludesTheTokenItself) {
  const auto mask = make_attention_mask({.queries = 4, .window = 2}).additive;
  const auto expected = at::tensor({1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1}).view({4, 4});
  EXPECT_TRUE(at::equal(mask[0][0].eq(0).to(at::kLong), expected.to(at::kLong)));
}

TEST(AttentionMask, LaterTokensOfALongerMaskAreNotLookedAt) {
  const auto mask = make_attention_mask({.queries = 3, .padding = at::ones({1, 8})});
  EXPECT_TRUE(mask.causal);
}

TEST(AttentionMask, RefusesAMaskForAnotherBatch) {
  EXPECT_THROW(make_attention_mask({.batch = 2, .queries = 3, .padding = at::ones({1, 3})}),
               ConfigError);
}

}  // namespace
}  // namespace peft
