#include "peft/methods/lora/config.h"

#include <gtest/gtest.h>

#include "peft/adapter/config.h"
#include "peft/base/json_text.h"
#include "peft/base/warnings.h"

namespace peft {
namespace {

// What `LoraConfig().to_dict()` of Python holds, as tests/methods/lora/golden.py wrote it.
Json python_defaults() {
  return read_json_file(PEFT_SOURCE_DIR "/tests/methods/lora/golden/default_config.json");
}

TEST(LoraConfig, DefaultsAndKeysAreThoseOfPython) {
  const std::string ours = dump_json(PeftConfig(LoraConfig{}).to_json(), {.sort_keys = true});
  EXPECT_EQ(ours, dump_json(python_defaults(), {.sort_keys = true}));
}

TEST(LoraConfig, AListIsNamesAndAStringIsAPattern) {
  const LoraConfig list{.r = 4, .target_modules = {"fc1", "fc2"}, .lora_alpha = 8};
  const LoraConfig one{.target_modules = {"fc1"}};
  const LoraConfig pattern{.target_modules = "all-linear"};
  EXPECT_TRUE(list.target_modules.is_list());
  EXPECT_EQ(one.target_modules.names(), std::vector<std::string>{"fc1"});
  EXPECT_EQ(pattern.target_modules.pattern(), "all-linear");
}

TEST(LoraConfig, UnknownKeysAreKeptAndWarnedOfOnce) {
  std::vector<std::string> warnings;
  const auto former = set_warning_sink([&](const std::string& text) { warnings.push_back(text); });
  const Json file = Json::parse(R"({"peft_type": "LORA", "r": 3, "new_key": [1], "other": 2})");
  const PeftConfig config = parse_method_config<LoraConfig>(file, "a.json");
  set_warning_sink(former);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("'new_key'"), std::string::npos);
  EXPECT_EQ(config.as<LoraConfig>().r, 3);
  EXPECT_EQ(config.to_json()["new_key"], Json::parse("[1]"));
}

TEST(LoraConfig, NumbersAreWrittenAsTheyWereGiven) {
  const Json file = Json::parse(R"({"lora_alpha": 16, "alpha_pattern": {"b": 2.5, "a": 1}})");
  const Json written = parse_method_config<LoraConfig>(file, "a.json").to_json();
  EXPECT_EQ(dump_json(written["lora_alpha"]), "16");
  EXPECT_EQ(dump_json(written["alpha_pattern"], {.indent = std::nullopt}), R"({"b": 2.5, "a": 1})");
  EXPECT_EQ(dump_json(written["lora_dropout"]), "0.0");
}

TEST(LoraConfig, AFieldOfAVariantThatIsNotServedIsRefused) {
  EXPECT_THROW((LoraConfig{.use_qalora = true}.validate()), UnsupportedError);
  EXPECT_NO_THROW((LoraConfig{.layer_replication = Json::parse("[[0, 2], [1, 3]]")}.validate()));
  for (const char* wrong : {"3", "[0, 2]", "[[0]]", "[[0, 2, 4]]", "[[0, 1.5]]", R"([["a", 2]])"}) {
    const LoraConfig config{.layer_replication = Json::parse(wrong)};
    EXPECT_THROW(config.validate(), ConfigError) << wrong;
  }
  EXPECT_THROW((LoraConfig{.init_lora_weights = "nonsense"}.validate()), ConfigError);
  EXPECT_NO_THROW((LoraConfig{.init_lora_weights = "gaussian"}.validate()));
}

TEST(LoraConfig, EveryFieldOfAVariantIsRefusedByName) {
  const Json values = Json::parse(R"({
    "use_qalora": true, "megatron_config": {"a": 1}})");
  for (const auto& [key, value] : values.items()) {
    Json file = {{"peft_type", "LORA"}};
    file[key] = value;
    const PeftConfig config = parse_method_config<LoraConfig>(file, "a.json");
    try {
      config.validate();
      ADD_FAILURE() << key << " must be refused";
    } catch (const UnsupportedError& error) {
      EXPECT_NE(std::string(error.what()).find(key), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("Python PEFT"), std::string::npos) << error.what();
    }
    EXPECT_EQ(config.to_json()[key], value) << "what was read is written again";
  }
}

TEST(LoraConfig, TheWordsOfABeginningAreReadAsPythonReadsThem) {
  for (const char* word : {"eva", "olora", "OLoRA", "pissa", "pissa_niter_2", "corda", "orthogonal",
                           "mica", "MICA", "lora_ga", "Gaussian"}) {
    EXPECT_NO_THROW((LoraConfig{.init_lora_weights = word}.validate())) << word;
  }
  for (const char* word : {"nonsense", "PiSSA", "pissa_niter", "pissa_niter_x", "pissa_niter_",
                           "Eva", "Orthogonal", "loftq"}) {
    EXPECT_THROW((LoraConfig{.init_lora_weights = word}.validate()), ConfigError) << word;
  }
}

TEST(LoraConfig, TheSettingsOfABeginningAreChecked) {
  const auto check = [](const LoraConfig& config) { config.validate(); };
  EXPECT_THROW(check({.init_lora_weights = "eva", .eva_config = EvaConfig{.rho = 0.5}}),
               ConfigError);
  EXPECT_THROW(check({.init_lora_weights = "eva", .eva_config = EvaConfig{.tau = 1.5}}),
               ConfigError);
  EXPECT_THROW(check({.init_lora_weights = "loftq", .loftq_config = LoftQConfig{.loftq_bits = 2}}),
               ConfigError);
  EXPECT_THROW(check({.init_lora_weights = "loftq", .loftq_config = LoftQConfig{.loftq_iter = 0}}),
               ConfigError);
  EXPECT_THROW(
      check({.init_lora_weights = "corda", .corda_config = CordaConfig{.corda_method = "all"}}),
      ConfigError);
  EXPECT_THROW(
      check({.init_lora_weights = "lora_ga", .lora_ga_config = LoraGAConfig{.direction = "BrAr"}}),
      ConfigError);
}

TEST(LoraConfig, MissingSettingsAreFilledInAndForeignOnesDropped) {
  LoraConfig eva{.init_lora_weights = "eva"}, corda{.init_lora_weights = "corda"};
  LoraConfig plain{.loftq_config = LoftQConfig{}};
  for (LoraConfig* config : {&eva, &corda, &plain}) config->complete();
  EXPECT_EQ(eva.eva_config, EvaConfig());
  EXPECT_EQ(corda.corda_config, CordaConfig());
  EXPECT_EQ(to_json(plain)["loftq_config"], Json::object());
}

TEST(LoraConfig, FieldsOfVariantsAreWrittenAsTheyWereRead) {
  const Json values = Json::parse(R"({
    "use_dora": true, "velora_config": {"num_groups": 4, "scale": 1.0, "init_type": "random"},
    "alora_invocation_tokens": [1, 2], "monteclora_config": {"num_samples": 2},
    "use_bdlora": {"nblocks": 2}, "arrow_config": {"top_k": 1, "rng_seed": null}, "kasa_config": {"beta": 0.1}, "trainable_token_indices": [1],
    "target_parameters": ["experts.w"]})");
  for (const auto& [key, value] : values.items()) {
    Json file = {{"peft_type", "LORA"}, {"task_type", "CAUSAL_LM"}};
    file[key] = value;
    const PeftConfig config = parse_method_config<LoraConfig>(file, "a.json");
    EXPECT_NO_THROW(config.validate()) << key;
    EXPECT_EQ(config.to_json()[key], value) << key;
  }
}

TEST(LoraConfig, SettingsOfWhatIsNotChosenAreWarnedOf) {
  const Json values = Json::parse(R"({"loftq_config": {"loftq_bits": 2},
       "eva_config": {"rho": 3.0}, "corda_config": {"corda_method": "kpm"},
       "lora_ga_config": {"scale": "gd"}, "qalora_group_size": 32})");
  for (const auto& [key, value] : values.items()) {
    Json file = {{"peft_type", "LORA"}};
    file[key] = value;
    std::vector<std::string> warnings;
    const auto former =
        set_warning_sink([&](const std::string& text) { warnings.push_back(text); });
    parse_method_config<LoraConfig>(file, "a.json").validate();
    set_warning_sink(former);
    ASSERT_EQ(warnings.size(), 1u) << key;
    EXPECT_NE(warnings[0].find(key), std::string::npos) << warnings[0];
  }
}

TEST(LoraConfig, ARuntimeConfigInAFileIsDroppedWithAWarning) {
  std::vector<std::string> warnings;
  const auto former = set_warning_sink([&](const std::string& text) { warnings.push_back(text); });
  const Json file = Json::parse(R"({"peft_type": "LORA", "runtime_config": {"a": 1}})");
  const Json written = parse_method_config<LoraConfig>(file, "a.json").to_json();
  set_warning_sink(former);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("runtime_config"), std::string::npos);
  EXPECT_FALSE(written.contains("runtime_config"));
}

TEST(LoraConfig, ValuesThatMakeNoSenseAreRefused) {
  EXPECT_THROW((LoraConfig{.r = 0}.validate()), ConfigError);
  EXPECT_THROW((LoraConfig{.lora_dropout = 1.5}.validate()), ConfigError);
  EXPECT_THROW((LoraConfig{.bias = "some"}.validate()), ConfigError);
  EXPECT_THROW((LoraConfig{.task_type = "CHAT"}.validate()), ConfigError);
  EXPECT_THROW((LoraConfig{.target_modules = "a.*", .layers_to_transform = 1}.validate()),
               ConfigError);
  EXPECT_THROW((LoraConfig{.layers_pattern = "h"}.validate()), ConfigError);
  EXPECT_THROW(parse_method_config<LoraConfig>(Json::parse(R"({"r": "8"})"), "a.json"),
               ConfigError);
}

}  // namespace
}  // namespace peft
