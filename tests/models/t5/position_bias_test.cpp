#include "peft/models/t5/position_bias.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>

namespace peft {
namespace {

using t5::PositionBuckets;

std::vector<int64_t> buckets_of(const PositionBuckets& buckets, std::vector<int64_t> distances) {
  const auto got = buckets.of(at::tensor(distances, at::kLong)).contiguous();
  return {got.const_data_ptr<int64_t>(), got.const_data_ptr<int64_t>() + got.numel()};
}

// What T5Attention._relative_position_bucket of transformers 5.17.0 gives.
TEST(PositionBuckets, EqualPythons) {
  const std::vector<int64_t> distances{-200, -128, -64, -20, -9, -8, -1, 0, 1, 7, 8, 15, 16, 100};
  EXPECT_EQ(buckets_of({}, distances),
            (std::vector<int64_t>{15, 15, 14, 10, 8, 8, 1, 0, 17, 23, 24, 25, 26, 31}));
  EXPECT_EQ(buckets_of({.bidirectional = false}, distances),
            (std::vector<int64_t>{31, 31, 26, 17, 9, 8, 1, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(buckets_of({.count = 8, .max_distance = 12}, distances),
            (std::vector<int64_t>{3, 3, 3, 3, 3, 3, 1, 0, 5, 7, 7, 7, 7, 7}));
}

TEST(PositionBias, ASecondStepGoesOnWhereTheFirstEnded) {
  const auto weight = at::randn({32, 3});
  const PositionBuckets buckets{.bidirectional = false};
  const auto whole = position_bias(weight, buckets, 9, 0);
  EXPECT_EQ(whole.sizes(), at::IntArrayRef({1, 3, 9, 9}));
  const auto last = position_bias(weight, buckets, 2, 7);
  EXPECT_TRUE(at::equal(last, whole.narrow(2, 7, 2)));
}

TEST(PositionBias, AMaskLeavesTheLowestNumberWhereNothingIsSeen) {
  const auto bias = at::randn({1, 2, 3, 3});
  const auto open = t5::with_bias({}, bias);
  EXPECT_TRUE(at::equal(open.additive, bias));
  const auto causal = t5::with_bias({.causal = true}, bias).additive;
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  EXPECT_EQ(causal[0][0][0][1].item<float>(), kLowest);
  EXPECT_EQ(causal[0][1][2][0].item<float>(), bias[0][1][2][0].item<float>());
  auto additive = at::zeros({2, 1, 1, 3});
  additive[1][0][0][2] = -std::numeric_limits<float>::infinity();
  const auto padded = t5::with_bias({.additive = additive}, bias).additive;
  EXPECT_EQ(padded.sizes(), at::IntArrayRef({2, 2, 3, 3}));
  EXPECT_EQ(padded[1][1][0][2].item<float>(), kLowest);
  EXPECT_TRUE(at::equal(padded[0], bias[0]));
}

}  // namespace
}  // namespace peft
