#include "peft/tensor/tree.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace peft {
namespace {

struct Tied : torch::nn::Module {
  Tied() {
    head = register_module("head", torch::nn::Linear(2, 3));
    block = register_module("block", torch::nn::Sequential(torch::nn::Linear(2, 2)));
    register_module("tail", head);
  }
  torch::nn::Linear head{nullptr};
  torch::nn::Sequential block{nullptr};
};

std::vector<std::string> parameter_names(torch::nn::Module& root) {
  std::vector<std::string> names;
  walk_parameters(root, [&](const std::string& name, at::Tensor&) { names.push_back(name); });
  return names;
}

TEST(Tree, AParameterComesUnderEveryNameInTheOrderOfRegistration) {
  auto tied = std::make_shared<Tied>();
  EXPECT_EQ(parameter_names(*tied),
            (std::vector<std::string>{"head.weight", "head.bias", "block.0.weight", "block.0.bias",
                                      "tail.weight", "tail.bias"}));
}

TEST(Tree, NamesOfOneTensorAreListedTogether) {
  auto tied = std::make_shared<Tied>();
  EXPECT_EQ(shared_parameters(*tied),
            (std::vector<std::vector<std::string>>{{"head.weight", "tail.weight"},
                                                   {"head.bias", "tail.bias"}}));
}

TEST(Tree, ModulesAreFoundByDottedName) {
  auto tied = std::make_shared<Tied>();
  EXPECT_EQ(find_module(*tied, ""), tied.get());
  EXPECT_EQ(find_module(*tied, "block.0"), tied->block->ptr(0).get());
  EXPECT_EQ(find_module(*tied, "block.1"), nullptr);
  EXPECT_EQ(find_module(*tied, "block..0"), nullptr);
}

TEST(Tree, NamesAreSplitAndJoined) {
  EXPECT_EQ(join_path("", "a"), "a");
  EXPECT_EQ(join_path("a.b", "c"), "a.b.c");
  EXPECT_EQ(split_path("a.b.c").parent, "a.b");
  EXPECT_EQ(split_path("c").leaf, "c");
  EXPECT_EQ(split_path("c").parent, "");
}

}  // namespace
}  // namespace peft
