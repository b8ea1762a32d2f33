#include "peft/adapter/targets.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/methods/lora/config.h"
#include "peft/methods/lora/targets.h"

namespace peft {
namespace {

std::vector<ModuleEntry> named(const std::vector<std::string>& names) {
  std::vector<ModuleEntry> modules;
  for (const std::string& name : names) {
    modules.push_back({name, torch::nn::Linear(2, 2).ptr(), nullptr});
  }
  return modules;
}

TEST(MinimalTargets, LongListsShrinkToTheEndingsThatTellThemApart) {
  std::set<std::string> targets;
  std::vector<std::string> others;
  for (int layer = 0; layer < 12; ++layer) {
    targets.insert("model.layers." + std::to_string(layer) + ".q_proj");
    targets.insert("model.layers." + std::to_string(layer) + ".v_proj");
    others.push_back("model.layers." + std::to_string(layer) + ".k_proj");
  }
  EXPECT_EQ(minimal_targets(targets, others), (std::set<std::string>{"q_proj", "v_proj"}));
}

TEST(MinimalTargets, AnEndingThatReachesTooMuchGrows) {
  EXPECT_EQ(minimal_targets({"a.x.fc", "b.x.fc"}, {"c.y.fc"}), (std::set<std::string>{"x.fc"}));
}

TEST(ResolveTargets, AllLinearLeavesTheHeadOut) {
  LoraConfig config{.target_modules = "all-linear"};
  SharedFields fields = shared_fields(config);
  ModelFacts facts;
  facts.is_pretrained = true;
  facts.output_head = "lm_head";
  resolve_targets(fields, named({"a.q", "a.v", "lm_head"}), facts, lora::default_targets);
  EXPECT_EQ(config.target_modules.names(), (std::vector<std::string>{"a.q", "a.v"}));
}

TEST(ResolveTargets, AModelTypeHasDefaults) {
  LoraConfig config;
  SharedFields fields = shared_fields(config);
  ModelFacts facts;
  facts.model_type = "llama";
  resolve_targets(fields, {}, facts, lora::default_targets);
  EXPECT_EQ(config.target_modules.names(), (std::vector<std::string>{"q_proj", "v_proj"}));
  config.target_modules = {};
  facts.model_type = "unheard_of";
  EXPECT_THROW(resolve_targets(fields, {}, facts, lora::default_targets), ConfigError);
}

}  // namespace
}  // namespace peft
