// What Python PEFT refuses or warns of when adapters are saved, loaded and swapped: one test for
// each that the tests of these functions do not have already.

#include <gtest/gtest.h>

#include <fstream>

#include "peft/adapter_folder.h"
#include "peft/arithmetic.h"
#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/functional.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
namespace nn = torch::nn;
using test::CollectedWarnings;
using test::expect_message;
using test::expect_warning;
using test::Net;
using test::TemporaryFolder;

const LoraConfig kSaved{.r = 2, .target_modules = {"fc1"}, .init_lora_weights = false};

PeftModelFor<Net> fresh_model(const LoraConfig& config = kSaved) {
  return get_peft_model(Net(), config);
}

// The folder of an adapter with another config.
void save(const fs::path& folder, const LoraConfig& config = kSaved) {
  fresh_model(config).save_pretrained(folder);
}

void rewrite_config(const fs::path& folder, const std::string& key, const Json& value) {
  Json config = read_json_file(folder / "adapter_config.json");
  config[key] = value;
  write_file_atomically(folder / "adapter_config.json", dump_json(config));
}

TEST(MisuseOfSavePretrained, AFileInThePlaceOfTheFolder) {
  const TemporaryFolder folder("misuse_file");
  const fs::path file = folder.path() / "taken";
  std::ofstream(file) << "text";
  const auto model = fresh_model();
  expect_message<ConfigError>({"taken", "expected a folder", "got a file"},
                              [&] { model.save_pretrained(file); });
}

TEST(MisuseOfSavePretrained, AnAdapterThatNobodyHas) {
  const TemporaryFolder folder("misuse_selected");
  const auto model = fresh_model();
  expect_message<NotFoundError>({"'nobody' does not exist", "default"}, [&] {
    model.save_pretrained(folder.path() / "out", {.selected_adapters = {"default", "nobody"}});
  });
  EXPECT_FALSE(fs::exists(folder.path() / "out"));
}

TEST(MisuseOfSavePretrained, ShardsThatWereNotGatheredAreWarnedOf) {
  const TemporaryFolder folder("misuse_shards");
  const auto model = fresh_model();
  model.get_parameter("fc1.lora_A.default.weight").set_data(torch::empty({0}));
  expect_warning({"Adapter 'default': 1 LoRA tensor(s) have invalid shape", "fc1.lora_A.weight"},
                 [&] { model.save_pretrained(folder.path()); });
}

TEST(MisuseOfSavePretrained, ABiasOfLoraIsNoShard) {
  LoraConfig config = kSaved;
  config.lora_bias = true;
  const auto model = fresh_model(config);
  const CollectedWarnings warnings;
  model.state_dict();
  EXPECT_TRUE(warnings.empty());
}

TEST(MisuseOfSavePretrained, AnAdapterOfAnotherBeginningIsWarnedOfWhenItIsConverted) {
  const TemporaryFolder folder("misuse_conversion");
  save(folder.path() / "initial");
  const auto model = fresh_model();
  expect_warning({"path_initial_model_for_weight_conversion", "PiSSA"}, [&] {
    model.save_pretrained(folder.path() / "out",
                          {.path_initial_model_for_weight_conversion = folder.path() / "initial"});
  });
}

TEST(MisuseOfFromPretrained, AFolderWithoutAnAdapter) {
  const TemporaryFolder folder("misuse_empty");
  expect_message<NotFoundError>({"adapter_config.json"},
                                [&] { PeftModel::from_pretrained(Net(), folder.path()); });
}

TEST(MisuseOfFromPretrained, AConfigWithoutWeights) {
  const TemporaryFolder folder("misuse_weights");
  save(folder.path());
  fs::remove(folder.path() / "adapter_model.safetensors");
  expect_message<NotFoundError>({"adapter_model.safetensors"},
                                [&] { PeftModel::from_pretrained(Net(), folder.path()); });
}

TEST(MisuseOfFromPretrained, AMethodThatNobodyKnows) {
  const TemporaryFolder folder("misuse_method");
  save(folder.path());
  rewrite_config(folder.path(), "peft_type", "MAGIC");
  expect_message<UnsupportedError>({"peft_type", "MAGIC"},
                                   [&] { PeftModel::from_pretrained(Net(), folder.path()); });
}

TEST(MisuseOfFromPretrained, AConfigWithoutAMethod) {
  const TemporaryFolder folder("misuse_no_method");
  save(folder.path());
  Json config = read_json_file(folder.path() / "adapter_config.json");
  config.erase("peft_type");
  write_file_atomically(folder.path() / "adapter_config.json", dump_json(config));
  expect_message<FormatError>({"peft_type", "got none"},
                              [&] { PeftModel::from_pretrained(Net(), folder.path()); });
}

TEST(MisuseOfFromPretrained, AModelThatHasAdaptersIsWarnedOf) {
  const TemporaryFolder folder("misuse_twice");
  save(folder.path());
  Net net;
  const auto first = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc2"}});
  expect_warning({"Already found adapters in the model", "multiple adapters"}, [&] {
    PeftModel::from_pretrained(net, folder.path(), {.adapter_name = "second"});
  });
}

TEST(MisuseOfFromPretrained, MissingKeysUnderANameInThePrefixAreWarnedOf) {
  const TemporaryFolder folder("misuse_prefix");
  save(folder.path());
  rewrite_config(folder.path(), "target_modules", Json{"fc1", "fc2"});
  expect_warning({"'lora' should not be contained in the prefix 'lora_'",
                  "could be the reason for missing adapter keys", "Found missing adapter keys"},
                 [&] {
                   PeftModel::from_pretrained(Net(), folder.path(),
                                              {.adapter_name = "lora", .strict = false});
                 });
}

TEST(MisuseOfFromPretrained, ANameInThePrefixAloneIsNot) {
  const TemporaryFolder folder("misuse_prefix_alone");
  save(folder.path());
  const CollectedWarnings warnings;
  PeftModel::from_pretrained(Net(), folder.path(), {.adapter_name = "lora"});
  EXPECT_TRUE(warnings.empty());
}

// An adapter of this beginning, loaded beside another or the other way round.
void expect_warning_beside(const std::string& word, const std::string& name) {
  const TemporaryFolder folder("misuse_beside_" + word);
  LoraConfig config = kSaved;
  config.init_lora_weights = word;
  save(folder.path() / "plain");
  save(folder.path() / "base_changing", config);
  const std::vector<std::string> parts = {name + " changes the base weights of the model",
                                          "should thus not be used with other adapters"};
  auto model = fresh_model();
  expect_warning(parts, [&] { model.load_adapter(folder.path() / "base_changing", "second"); });
  auto other = fresh_model(config);
  expect_warning(parts, [&] { other.load_adapter(folder.path() / "plain", "second"); });
}

TEST(MisuseOfLoadAdapter, PissaBesideOthersIsWarnedOf) { expect_warning_beside("pissa", "PiSSA"); }

TEST(MisuseOfLoadAdapter, OloraBesideOthersIsWarnedOf) { expect_warning_beside("olora", "OLoRA"); }

TEST(MisuseOfLoadAdapter, CordaBesideOthersIsWarnedOf) {
  const TemporaryFolder folder("misuse_beside_corda");
  save(folder.path());
  auto model = fresh_model();
  LoraConfig corda = kSaved;
  corda.init_lora_weights = "corda";
  model.tuner().config("default") = PeftConfig(corda);
  expect_warning({"CorDA changes the base weights of the model"},
                 [&] { model.load_adapter(folder.path(), "second"); });
}

TEST(MisuseOfLoadAdapter, PissaByItselfIsNot) {
  const TemporaryFolder folder("misuse_pissa_alone");
  LoraConfig config = kSaved;
  config.init_lora_weights = "pissa";
  save(folder.path(), config);
  const CollectedWarnings warnings;
  PeftModel::from_pretrained(Net(), folder.path());
  EXPECT_TRUE(warnings.empty());
}

TEST(MisuseOfLoadAdapter, OtherShapes) {
  const TemporaryFolder folder("misuse_shapes");
  save(folder.path());
  rewrite_config(folder.path(), "r", 3);
  auto model = fresh_model();
  expect_message<MismatchError>({"lora_A", "[3, 6]", "[2, 6]"},
                                [&] { model.load_adapter(folder.path(), "other"); });
  EXPECT_FALSE(model.tuner().has("other"));
}

TEST(MisuseOfStateDicts, AnAdapterThatNobodyHas) {
  const auto model = fresh_model();
  expect_message<NotFoundError>({"'nobody' does not exist"},
                                [&] { get_peft_model_state_dict(model, "nobody"); });
}

TEST(MisuseOfStateDicts, OtherKeysOfTheBaseAreListed) {
  auto model = fresh_model();
  StateDict state = get_base_model_state_dict(model);
  StateDict other;
  for (const auto& [name, tensor] : state) {
    other.set(name == "fc2.bias" ? "fc3.bias" : name, tensor);
  }
  expect_message<MismatchError>({"fc2.bias", "fc3.bias"},
                                [&] { set_base_model_state_dict(model, other); });
}

TEST(MisuseOfLoadPeftWeights, AFolderWithoutThem) {
  const TemporaryFolder folder("misuse_no_weights");
  expect_message<NotFoundError>({"adapter_model.safetensors"},
                                [&] { load_peft_weights(folder.path()); });
}

// The adapter of the folder has the options, that of the model has not.
void expect_incompatible(const std::string& key, const LoraConfig& config) {
  const TemporaryFolder folder("misuse_swap_" + key);
  save(folder.path(), config);
  auto model = fresh_model();
  expect_message<ConfigError>({"hotswap_adapter", "configs are incompatible", "for " + key},
                              [&] { hotswap_adapter(model, folder.path()); });
}

TEST(MisuseOfHotswap, AnotherScaling) {
  LoraConfig config = kSaved;
  config.use_rslora = true;
  expect_incompatible("use_rslora", config);
}

TEST(MisuseOfHotswap, AnotherDropout) {
  LoraConfig config = kSaved;
  config.lora_dropout = 0.5;
  expect_incompatible("lora_dropout", config);
}

TEST(MisuseOfHotswap, Dora) {
  LoraConfig config = kSaved;
  config.use_dora = true;
  expect_incompatible("use_dora", config);
}

TEST(MisuseOfHotswap, OtherLayers) {
  const TemporaryFolder folder("misuse_swap_layers");
  save(folder.path(), LoraConfig{.r = 2, .target_modules = {"fc2"}});
  auto model = fresh_model();
  expect_message<MismatchError>({"did not succeed, unexpected keys", "fc2.lora_A.weight"},
                                [&] { hotswap_adapter(model, folder.path()); });
}

TEST(MisuseOfHotswap, AMergedAdapter) {
  const TemporaryFolder folder("misuse_swap_merged");
  save(folder.path());
  auto model = fresh_model();
  model.merge_adapter();
  expect_message<ConfigError>({"'default' is merged into the base weights", "unmerge_adapter()"},
                              [&] { hotswap_adapter(model, folder.path()); });
}

TEST(MisuseOfPreparingAHotswap, AModelWithoutAdapters) {
  auto model = fresh_model();
  model.delete_adapter("default");
  expect_message<ConfigError>({"no adapter layers found"},
                              [&] { prepare_model_for_compiled_hotswap(model, 4); });
}

TEST(MisuseOfPreparingAHotswap, ARankBelowThatOfAnAdapter) {
  auto model = fresh_model();
  expect_message<ConfigError>({"fc1.weight", "target rank of 2 or more", "got 1"},
                              [&] { prepare_model_for_compiled_hotswap(model, 1); });
}

struct Grouped : nn::Module {
  Grouped() { register_module("conv", nn::Conv2d(nn::Conv2dOptions(4, 4, 1).groups(2))); }
};

TEST(MisuseOfPreparingAHotswap, ARankThatGroupsDoNotDivide) {
  auto model =
      get_peft_model(std::make_shared<Grouped>(), LoraConfig{.r = 2, .target_modules = {"conv"}});
  expect_message<ConfigError>({"conv.weight", "divisible by groups = 2", "got 5"},
                              [&] { prepare_model_for_compiled_hotswap(model, 5); });
}

}  // namespace
}  // namespace peft
