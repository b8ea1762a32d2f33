#include "peft/models/common/growing_cache.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"

namespace peft {
namespace {

TEST(GrowingCache, HoldsWhatWasAppendedHoweverItGrew) {
  GrowingCache cache(2, 3);
  std::vector<at::Tensor> all;
  for (const int64_t tokens : {1, 4, 2, 9}) {
    const auto fresh = at::randn({2, 3, tokens, 5});
    all.push_back(fresh);
    for (const int64_t layer : {0, 1}) {
      const auto [keys, values] = cache.append(layer, fresh + layer, fresh * 2);
      EXPECT_TRUE(at::equal(keys, at::cat(all, 2) + layer));
      EXPECT_TRUE(at::equal(values, at::cat(all, 2) * 2));
    }
  }
  EXPECT_EQ(cache.length(), 16);
}

TEST(GrowingCache, KeepsTheGivenRowsInTheirOrder) {
  GrowingCache cache(1);
  const auto first = at::randn({3, 1, 4, 2}), next = at::randn({2, 1, 1, 2});
  cache.append(0, first, first);
  const auto rows = at::tensor({2, 0}, at::kLong);
  cache.select_rows(rows);
  const auto [keys, values] = cache.append(0, next, next);
  EXPECT_TRUE(at::equal(keys, at::cat({first.index_select(0, rows), next}, 2)));
  EXPECT_TRUE(at::equal(values, keys));
}

TEST(GrowingCache, KeysThatRequireAGradientKeepTheirGraph) {
  GrowingCache cache(1);
  const auto prefix = at::randn({1, 1, 2, 2}).requires_grad_(true);
  cache.append(0, prefix, prefix);
  const auto [keys, values] = cache.append(0, at::ones({1, 1, 1, 2}), at::ones({1, 1, 1, 2}));
  (keys.sum() + values.sum()).backward();
  EXPECT_TRUE(at::equal(prefix.grad(), at::full({1, 1, 2, 2}, 2.0)));
}

TEST(GrowingCache, RefusesALayerThatItDoesNotHave) {
  GrowingCache cache(1);
  EXPECT_THROW(cache.append(1, at::ones({1, 1, 1, 2}), at::ones({1, 1, 1, 2})), ConfigError);
}

}  // namespace
}  // namespace peft
