// Layers of a language model that are stacked again (layer_replication), as in Python.

#include <gtest/gtest.h>

#include <type_traits>

#include "peft/base/error.h"
#include "tests/front/tied_models.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the golden tests share

std::filesystem::path replication_case(const std::string& name) {
  return std::filesystem::path(PEFT_SOURCE_DIR) / "tests/front/golden_replication" / name;
}

LanguageModel three_layers() { return model_of(replication_case("base")); }

LoraConfig stacking(const char* ranges, LoraConfig config = {.target_modules = {"q_proj"}}) {
  config.layer_replication = Json::parse(ranges);
  return config;
}

/// The same where all of it learns.
LanguageModel three_learning_layers() {
  LanguageModel model = three_layers();
  for (auto& item : model->named_parameters()) item.value().set_requires_grad(true);
  return model;
}

/// Everything that a failure must not change.
struct ThreeLayers {
  LanguageModel model;
  at::Tensor ids = at::arange(6).view({2, 3}), output = model->forward({.input_ids = ids});
  Json config = model->config();
  std::map<std::string, bool> learning = learns();

  std::map<std::string, bool> learns() const {
    std::map<std::string, bool> found;
    for (const auto& item : model->named_parameters()) {
      found[item.key()] = item.value().requires_grad();
      EXPECT_FALSE(is_tagged(item.value())) << item.key();
    }
    return found;
  }
  void expect_as_before() const {
    EXPECT_TRUE(at::equal(model->forward({.input_ids = ids}), output));
    EXPECT_EQ(dump_json(model->config()), dump_json(config));
    EXPECT_EQ(model->shape().layers, 3);
    EXPECT_EQ(learns(), learning);
  }
};

class ReplicationCase : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path folder = replication_case(GetParam());
  StateDict run = tensors_of(folder / "run.safetensors");
  PeftModelForCausalLM model =
      PeftModelForCausalLM::from_pretrained(three_layers(), folder, {.is_trainable = true});
  at::Tensor logits(const at::Tensor& ids) { return model.forward({.input_ids = ids}); }
};

TEST_P(ReplicationCase, ComputesTrainsAndSavesAsPythonDoes) {
  expect_same_files(model, folder);
  expect_training_like_python(model, run, [&](const at::Tensor& ids) { return logits(ids); });
}

TEST_P(ReplicationCase, LearnsWithAdamWAsInPython) {
  expect_adamw_like_python(model, run, [&](const at::Tensor& ids) { return logits(ids); });
}

TEST_P(ReplicationCase, GeneratesWithACacheOfAllLayersAsPythonDoes) {
  const at::Tensor prompt = run.at("input")[0].cpu(), wanted = run.at("generated")[0].cpu();
  const auto* ids = prompt.const_data_ptr<int64_t>();
  const auto* tokens = wanted.const_data_ptr<int64_t>();
  const auto got =
      model.generate({{ids, ids + prompt.numel()}}, {.max_new_tokens = wanted.numel()}).front();
  EXPECT_EQ(got.tokens, std::vector<int64_t>(tokens, tokens + wanted.numel()));
}

TEST_P(ReplicationCase, CountsASharedWeightOnceAsPythonDoes) {
  const auto count = model.get_nb_trainable_parameters();
  EXPECT_EQ(count.trainable, run.at("parameters")[0].item<int64_t>());
  EXPECT_EQ(count.all, run.at("parameters")[1].item<int64_t>());
}

INSTANTIATE_TEST_SUITE_P(Golden, ReplicationCase,
                         testing::Values("again", "biases", "one_replica", "turned"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Replication, LayersShareTheirMemoryAndTheModelSaysHowManyThereAre) {
  const LanguageModel model = three_layers();
  auto adapted = get_peft_model(model, stacking("[[0, 2], [1, 3]]"));
  EXPECT_EQ(model->config()["num_hidden_layers"], 4);
  EXPECT_EQ(model->shape().layers, 4);
  const auto weight = [&](int layer) {
    return adapted.get_parameter("model.layers." + std::to_string(layer) + ".mlp.up_proj.weight");
  };
  EXPECT_EQ(weight(1).data_ptr(), weight(2).data_ptr());
  EXPECT_NE(weight(0).data_ptr(), weight(1).data_ptr());
  adapted.unload();
  EXPECT_EQ(model->shape().layers, 4) << "as in Python the layers stay";
}

TEST(Replication, MoreAdaptersComeToTheSameLayers) {
  auto model = PeftModelForCausalLM::from_pretrained(three_layers(), replication_case("again"));
  model.load_adapter(replication_case("one_replica"), "second");
  model.add_adapter("third", LoraConfig{.target_modules = {"k_proj"}});
  expect_message<ConfigError>({"layer_replication", "[[0, 2], [1, 3]]", "[[0, 1]]"},
                              [&] { model.add_adapter("fourth", stacking("[[0, 1]]")); });
  for (const auto& [adapter, folder] :
       {std::pair("default", "again"), std::pair("second", "one_replica")}) {
    model.set_adapter(adapter);
    const StateDict run = tensors_of(replication_case(folder) / "run.safetensors");
    expect_close(model.forward({.input_ids = run.at("input")}), run.at("output"), adapter);
  }
}

TEST(Replication, SharedWeightsCannotBeMerged) {
  auto model = get_peft_model(three_layers(), stacking("[[0, 3], [2, 3]]"));
  expect_message<UnsupportedError>({"q_proj", "layer_replication"}, [&] { model.merge_adapter(); });
  auto lone = get_peft_model(three_layers(), stacking("[[0, 2]]"));
  EXPECT_NO_THROW(lone.merge_adapter()) << "nothing is shared";
}

TEST(Replication, AFailureLeavesTheModelAsItWas) {
  const ThreeLayers three{three_learning_layers()};
  const auto refuse = [&]<typename Error>(std::type_identity<Error>, const LoraConfig& config,
                                          const std::vector<std::string>& parts) {
    expect_message<Error>(parts, [&] { get_peft_model(three.model, config); });
    three.expect_as_before();
  };
  constexpr std::type_identity<ConfigError> kConfig;
  refuse(kConfig, stacking("[[0, 4]]"), {"layer_replication", "0 to 2", "[0, 4]"});
  refuse(kConfig, stacking("[[-1, 2]]"), {"[-1, 2]"});
  refuse(kConfig, stacking("[[0, 2], [1, 1]]"), {"[1, 1]"});
  refuse(kConfig, stacking("[[0, 2, 1]]"), {"layer_replication", "[[0, 2, 1]]"});
  refuse(std::type_identity<NoMatchError>(),
         stacking("[[0, 2], [1, 3]]", {.target_modules = {"nothing"}}), {"nothing"});
  refuse(std::type_identity<UnsupportedError>(),
         stacking("[[0, 2], [1, 3]]", {.target_modules = {"q_proj"}, .init_lora_weights = "olora"}),
         {"layer_replication", "init_lora_weights"});
}

TEST(Replication, AFileThatDoesNotFitLeavesTheModelAsItWas) {
  const ThreeLayers three{three_learning_layers()};
  const auto folder = replication_case("again");
  LoraConfig config = read_adapter_config(folder).as<LoraConfig>();
  config.r = 7;
  EXPECT_THROW(PeftModel::from_pretrained(three.model, folder, {.config = config}), MismatchError);
  three.expect_as_before();
}

TEST(Replication, AModelOfOnesOwnHasNoLayersToStack) {
  expect_message<UnsupportedError>({"layer_replication", "Net", "language model"}, [] {
    get_peft_model(Net(), stacking("[[0, 1]]", {.target_modules = {"fc1"}}));
  });
}

}  // namespace
}  // namespace peft
