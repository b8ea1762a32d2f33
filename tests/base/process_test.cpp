#include "peft/base/process.h"

#include <gtest/gtest.h>

#include <vector>

namespace peft {
namespace {

TEST(PeakRss, RemembersMemoryThatWasGivenBack) {
  constexpr size_t kBytes = size_t{64} << 20;
  const uint64_t before = current_rss_bytes();
  {
    std::vector<char> block(kBytes, 1);
    EXPECT_GE(current_rss_bytes(), before + kBytes * 9 / 10);
  }
  EXPECT_GE(peak_rss_bytes(), before + kBytes * 9 / 10);
  EXPECT_LT(current_rss_bytes(), before + kBytes / 2);
}

}  // namespace
}  // namespace peft
