#include "peft/adapter/matching.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
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

// What Python decides by name, as tests/adapter/golden.py wrote it.
const Json& golden() {
  static const Json read = read_json_file(PEFT_SOURCE_DIR "/tests/adapter/golden/matching.json");
  return read;
}

TEST(TargetMatcher, DecidesAsPythonDoes) {
  const auto names = golden()["names"].get<std::vector<std::string>>();
  size_t matches = 0;
  for (const Json& row : golden()["match"]) {
    const LoraConfig config =
        parse_method_config<LoraConfig>(row["config"], "row").as<LoraConfig>();
    std::vector<std::string> matched, excluded;
    for (const std::string& name : names) {
      const MatchResult result = match(config, name);
      if (result == MatchResult::kMatched) matched.push_back(name);
      if (result == MatchResult::kExcluded) excluded.push_back(name);
    }
    matches += matched.size();
    EXPECT_EQ(matched, row["matched"].get<std::vector<std::string>>()) << row["config"].dump();
    EXPECT_EQ(excluded, row["excluded"].get<std::vector<std::string>>()) << row["config"].dump();
  }
  EXPECT_GT(matches, 100u);
}

TEST(PatternKeys, AreFoundAsPythonFindsThem) {
  const auto names = golden()["names"].get<std::vector<std::string>>();
  for (const Json& row : golden()["patterns"]) {
    const auto keys = row["keys"].get<std::vector<std::string>>();
    const PatternKeys patterns(keys, "rank_pattern");
    for (size_t i = 0; i < names.size(); ++i) {
      const int64_t found = patterns.find(names[i]);
      const Json key = found < 0 ? Json() : Json(keys[static_cast<size_t>(found)]);
      EXPECT_EQ(key, row["found"][i]) << row["keys"].dump() << " on " << names[i];
    }
  }
}

TEST(TargetMatcher, ABadOrEndlessPatternIsAnErrorThatNamesTheField) {
  const auto error_of = [](const LoraConfig& config, const std::string& name) {
    try {
      match(config, name);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(error_of({.target_modules = "(q_proj"}, "q_proj").find("target_modules"),
            std::string::npos);
  EXPECT_NE(error_of({.exclude_modules = "*"}, "q_proj").find("exclude_modules"),
            std::string::npos);
  const std::string endless =
      error_of({.target_modules = "(a*)*(a*)*(a*)*b"}, std::string(200, 'a'));
  EXPECT_NE(endless.find("target_modules"), std::string::npos) << endless;
}

}  // namespace
}  // namespace peft
