#include "peft/models/common/static_cache.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"

namespace peft {
namespace {

TEST(StaticCache, HoldsEveryTokenInTheMemoryThatItTookFirst) {
  StaticCache cache(2, 5);
  EXPECT_EQ(cache.max_length(), 5);
  EXPECT_EQ(cache.layers(), 2);
  EXPECT_FALSE(cache.layer(0).first.defined());
  const at::Tensor keys = at::randn({2, 1, 3, 4}), values = at::randn({2, 1, 3, 4});
  const at::Tensor next = at::randn({2, 1, 2, 4});
  for (int64_t layer = 0; layer < 2; ++layer) cache.append(layer, keys, values);
  const void* memory = cache.layer(0).first.data_ptr();
  const auto [all_keys, all_values] = cache.append(0, next, next);
  EXPECT_EQ(all_keys.data_ptr(), memory);
  EXPECT_TRUE(at::equal(all_keys, at::cat({keys, next}, 2)));
  EXPECT_TRUE(at::equal(all_values, at::cat({values, next}, 2)));
  EXPECT_TRUE(at::equal(cache.layer(0).second, all_values));
  EXPECT_EQ(cache.length(), 5);
}

TEST(StaticCache, ThrowsWhenItIsFullAndForLayersThatAreNotThere) {
  StaticCache cache(1, 2);
  const at::Tensor three = at::zeros({1, 1, 3, 4}), two = at::zeros({1, 1, 2, 4});
  EXPECT_THROW(cache.append(0, three, three), ConfigError);
  EXPECT_EQ(cache.length(), 0) << "as it was";
  cache.append(0, two, two);
  EXPECT_THROW(cache.append(0, two, two), ConfigError);
  EXPECT_THROW(cache.append(1, two, two), ConfigError);
  EXPECT_THROW(cache.layer(-1), ConfigError);
  EXPECT_THROW(StaticCache(1, 0), ConfigError);
}

TEST(StaticCache, KeepsTheGraphOfKeysThatLearn) {
  StaticCache cache(1, 4);
  const at::Tensor learned = torch::randn({1, 1, 2, 3}, torch::requires_grad());
  const at::Tensor fixed = at::randn({1, 1, 2, 3});
  cache.append(0, learned, learned);
  cache.append(0, fixed, fixed).first.sum().backward();
  EXPECT_TRUE(at::equal(learned.grad(), at::ones_like(learned)));
  EXPECT_THROW(cache.append(0, fixed, fixed), ConfigError);
}

TEST(StaticCache, RowsAreKeptInTheGivenOrder) {
  StaticCache cache(1, 3);
  const at::Tensor keys = at::randn({3, 1, 1, 2});
  cache.append(0, keys, keys);
  cache.select_rows(at::tensor({2, 0}, at::kLong));
  EXPECT_TRUE(at::equal(cache.layer(0).first, keys.index_select(0, at::tensor({2, 0}, at::kLong))));
  const at::Tensor more = at::randn({2, 1, 2, 2});
  EXPECT_EQ(cache.append(0, more, more).first.size(2), 3);
}

}  // namespace
}  // namespace peft
