#include "peft/train/collate.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace peft::train {
namespace {

TEST(Collate, PadsOnTheRightToTheLongestRow) {
  const std::vector<Example> examples = {{{1, 2, 3}, {-100, 2, 3}}, {{4}, {4}}, {{5, 6}, {5, 6}}};
  const Batch batch = collate(examples, {2, 0}, 9);
  EXPECT_TRUE(torch::equal(batch.input_ids, torch::tensor({{5, 6, 9}, {1, 2, 3}}, at::kLong)));
  EXPECT_TRUE(torch::equal(batch.attention_mask, torch::tensor({{1, 1, 0}, {1, 1, 1}}, at::kLong)));
  EXPECT_TRUE(torch::equal(batch.labels, torch::tensor({{5, 6, -100}, {-100, 2, 3}}, at::kLong)));
  EXPECT_EQ(batch.rows, 2);
  EXPECT_EQ(batch.tokens, 5);
  EXPECT_EQ(batch.counted, 3);
}

TEST(Collate, RowsOfOneLengthNeedNoMask) {
  const std::vector<Example> examples = {{{1, 2}, {1, 2}}, {{3, 4}, {3, 4}}};
  EXPECT_FALSE(collate(examples, {0, 1}).attention_mask.defined());
}

}  // namespace
}  // namespace peft::train
