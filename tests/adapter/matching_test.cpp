#include "peft/adapter/matching.h"

#include <gtest/gtest.h>

#include "peft/methods/lora/config.h"

namespace peft {
namespace {

MatchResult match(LoraConfig config, const std::string& name) {
  return TargetMatcher(shared_fields(config)).match(name);
}

TEST(TargetMatcher, AListMatchesWholeNamesAndEndingsAtADot) {
  const LoraConfig config{.target_modules = {"q_proj", "mlp.fc"}};
  EXPECT_EQ(match(config, "q_proj"), MatchResult::kMatched);
  EXPECT_EQ(match(config, "layers.0.q_proj"), MatchResult::kMatched);
  EXPECT_EQ(match(config, "layers.0.mlp.fc"), MatchResult::kMatched);
  EXPECT_EQ(match(config, "layers.0.xq_proj"), MatchResult::kUnmatched);
  EXPECT_EQ(match(config, "layers.0.q_proj.inner"), MatchResult::kUnmatched);
}

TEST(TargetMatcher, AStringMustMatchTheWholeName) {
  const LoraConfig config{.target_modules = ".*\\.(q|v)_proj"};
  EXPECT_EQ(match(config, "layers.0.q_proj"), MatchResult::kMatched);
  EXPECT_EQ(match(config, "layers.0.q_proj.x"), MatchResult::kUnmatched);
  EXPECT_EQ(match(config, "q_proj"), MatchResult::kUnmatched);
}

TEST(TargetMatcher, ExcludedAndSavedModulesWin) {
  const LoraConfig config{.target_modules = {"fc", "out"},
                          .exclude_modules = {"a.fc"},
                          .modules_to_save = std::vector<std::string>{"head"}};
  EXPECT_EQ(match(config, "x.a.fc"), MatchResult::kExcluded);
  EXPECT_EQ(match(config, "b.fc"), MatchResult::kMatched);
  EXPECT_EQ(match(config, "head.out"), MatchResult::kExcluded);
  EXPECT_EQ(match(config, "x.head"), MatchResult::kExcluded);
  EXPECT_EQ(match(config, "heads.out"), MatchResult::kMatched);
}

TEST(TargetMatcher, LayersAreChosenByTheFirstNumber) {
  const LoraConfig config{.target_modules = {"fc"}, .layers_to_transform = {1, 3}};
  EXPECT_EQ(match(config, "model.layers.1.fc"), MatchResult::kMatched);
  EXPECT_EQ(match(config, "model.layers.1.experts.0.fc"), MatchResult::kMatched);
  EXPECT_EQ(match(config, "model.layers.0.experts.1.fc"), MatchResult::kUnmatched);
  EXPECT_EQ(match(config, "model.fc"), MatchResult::kUnmatched);
  LoraConfig named = config;
  named.layers_pattern = "blocks";
  EXPECT_EQ(match(named, "model.layers.1.fc"), MatchResult::kUnmatched);
  EXPECT_EQ(match(named, "blocks.3.fc"), MatchResult::kMatched);
}

TEST(PatternKeys, TheFirstKeyThatMatchesTheEndWins) {
  const PatternKeys keys({"^lin", "proj", "q_proj", "la.ers\\.1\\..*fc"}, "rank_pattern");
  EXPECT_EQ(keys.find("lin"), 0);
  EXPECT_EQ(keys.find("a.lin"), -1);
  EXPECT_EQ(keys.find("a.q_proj"), 2);
  EXPECT_EQ(keys.find("a.proj"), 1);
  EXPECT_EQ(keys.find("layers.1.mlp.fc"), 3);
  EXPECT_EQ(keys.unmatched({"a.proj", "a.q_proj"}),
            (std::vector<std::string>{"^lin", "la.ers\\.1\\..*fc"}));
}

}  // namespace
}  // namespace peft
