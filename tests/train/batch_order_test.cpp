#include "peft/train/batch_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace peft::train {
namespace {

std::vector<size_t> lengths_of(size_t count) {
  std::vector<size_t> lengths(count);
  for (size_t i = 0; i < count; ++i) lengths[i] = 1 + (i * 7919) % 101;
  return lengths;
}

std::vector<size_t> flat(const std::vector<std::vector<size_t>>& batches) {
  std::vector<size_t> rows;
  for (const auto& batch : batches) rows.insert(rows.end(), batch.begin(), batch.end());
  return rows;
}

TEST(BatchOrder, WithoutShuffleTheFilesOrderIsKept) {
  const auto batches = batches_of_epoch(lengths_of(5), {.batch_size = 2, .shuffle = false}, 3);
  EXPECT_EQ(batches, (std::vector<std::vector<size_t>>{{0, 1}, {2, 3}, {4}}));
}

TEST(BatchOrder, EveryRowComesOnce) {
  for (const bool group : {true, false}) {
    auto rows =
        flat(batches_of_epoch(lengths_of(1003), {.batch_size = 8, .group_by_length = group}, 1));
    EXPECT_EQ(std::set<size_t>(rows.begin(), rows.end()).size(), 1003);
    EXPECT_EQ(rows.size(), 1003);
  }
}

TEST(BatchOrder, IsAFunctionOfSeedAndEpoch) {
  const auto lengths = lengths_of(100);
  const auto order = [&](uint64_t seed, int64_t epoch) {
    return batches_of_epoch(lengths, {.batch_size = 4, .seed = seed}, epoch);
  };
  EXPECT_EQ(order(1, 0), order(1, 0));
  EXPECT_NE(order(1, 0), order(1, 1));
  EXPECT_NE(order(1, 0), order(2, 0));
}

TEST(BatchOrder, GroupingSavesPadding) {
  const auto lengths = lengths_of(800);
  const auto padded = [&](bool group) {
    size_t total = 0;
    for (const auto& batch :
         batches_of_epoch(lengths, {.batch_size = 8, .group_by_length = group}, 0)) {
      size_t longest = 0;
      for (const size_t row : batch) longest = std::max(longest, lengths[row]);
      total += longest * batch.size();
    }
    return total;
  };
  EXPECT_LT(padded(true), padded(false) * 7 / 10);
}

TEST(BatchOrder, TheLongestRowComesFirst) {
  const auto lengths = lengths_of(300);
  const auto first = batches_of_epoch(lengths, {.batch_size = 8}, 0).front();
  const size_t longest = *std::max_element(lengths.begin(), lengths.end());
  EXPECT_TRUE(
      std::any_of(first.begin(), first.end(), [&](size_t row) { return lengths[row] == longest; }));
}

}  // namespace
}  // namespace peft::train
