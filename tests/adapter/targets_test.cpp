#include "peft/adapter/targets.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/json_text.h"
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

TEST(MinimalTargets, AreThoseOfPython) {
  const Json golden = read_json_file(PEFT_SOURCE_DIR "/tests/adapter/golden/matching.json");
  size_t shorter = 0;
  for (const Json& row : golden["minimal"]) {
    const auto targets = row["targets"].get<std::set<std::string>>();
    const auto found = minimal_targets(targets, row["others"].get<std::vector<std::string>>());
    EXPECT_EQ(found, row["minimal"].get<std::set<std::string>>()) << row["targets"].dump();
    shorter += found.size() < targets.size();
  }
  EXPECT_GT(shorter, 3u);
}

TEST(ResolveTargets, EveryModelTypeHasPythonsDefault) {
  const Json golden =
      read_json_file(PEFT_SOURCE_DIR "/tests/methods/lora/golden/default_targets.json");
  EXPECT_GT(golden.size(), 30u);
  for (const auto& [model_type, targets] : golden.items()) {
    const auto ours = lora::default_targets(model_type);
    ASSERT_TRUE(ours.has_value()) << model_type;
    EXPECT_EQ(write_value(*ours), targets) << model_type;
  }
  EXPECT_FALSE(lora::default_targets("custom").has_value());
}

TEST(ResolveTargets, TheWordAllLinearHasNoCase) {
  for (const char* word : {"all-linear", "All-Linear", "ALL-LINEAR"}) {
    LoraConfig config{.target_modules = word};
    SharedFields fields = shared_fields(config);
    resolve_targets(fields, named({"a.q", "head"}), ModelFacts{}, lora::default_targets);
    EXPECT_EQ(config.target_modules.names(), (std::vector<std::string>{"a.q", "head"}));
  }
}

TEST(ResolveTargets, AllLinearOfAClassifierLeavesItsHeadOut) {
  LoraConfig config{.task_type = "SEQ_CLS", .target_modules = "all-linear"};
  SharedFields fields = shared_fields(config);
  ModelFacts facts;
  facts.is_pretrained = true;
  resolve_targets(fields, named({"a.q", "classifier", "score"}), facts, lora::default_targets);
  EXPECT_EQ(config.target_modules.names(), (std::vector<std::string>{"a.q", "classifier"}));
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
