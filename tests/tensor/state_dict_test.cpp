#include "peft/tensor/state_dict.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"

namespace peft {
namespace {

TEST(StateDict, KeepsTheOrderAndTheLastTensorOfAName) {
  StateDict dict{{"b", torch::ones(1)}, {"a", torch::ones(2)}};
  dict.set("b", torch::ones(3));
  EXPECT_EQ(dict.names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(dict.at("b").numel(), 3);
  EXPECT_THROW(dict.at("c"), NotFoundError);
}

TEST(StateDict, ErasingKeepsTheOthersReachable) {
  StateDict dict{{"a", torch::ones(1)}, {"b", torch::ones(2)}, {"c", torch::ones(3)}};
  EXPECT_TRUE(dict.erase("a"));
  EXPECT_FALSE(dict.erase("a"));
  EXPECT_EQ(dict.at("b").numel(), 2);
  EXPECT_EQ(dict.at("c").numel(), 3);
}

}  // namespace
}  // namespace peft
