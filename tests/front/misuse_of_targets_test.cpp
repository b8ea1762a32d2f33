// What Python PEFT refuses or warns of when it looks for the places of an adapter: one test for
// each that the tests of targets do not have already.

#include <gtest/gtest.h>

#include "peft/adapter/targets.h"
#include "peft/base/error.h"
#include "peft/functional.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace nn = torch::nn;
using test::CollectedWarnings;
using test::expect_message;
using test::expect_warning;
using test::Net;
using Names = std::vector<std::string>;

// Two blocks in a list, an embedding, a layer without weights for adapters, a parameter of its own.
struct TreeImpl : nn::Module {
  TreeImpl() {
    emb = register_module("emb", nn::Embedding(7, 4));
    norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({4})));
    layers = register_module("layers", nn::ModuleList());
    for (int i = 0; i < 2; ++i) {
      const auto block = std::make_shared<nn::Module>("block");
      block->register_module("lin", nn::Linear(4, 4));
      layers->push_back(block);
    }
    loose = register_parameter("loose", torch::randn({4, 4}));
  }
  nn::Embedding emb{nullptr};
  nn::LayerNorm norm{nullptr};
  nn::ModuleList layers{nullptr};
  at::Tensor loose;
};
TORCH_MODULE(Tree);

template <typename Expected>
void expect_refused(const Names& parts, const LoraConfig& config) {
  Tree net;
  const auto names = net->named_parameters().keys();
  expect_message<Expected>(parts, [&] { get_peft_model(net, config); });
  EXPECT_EQ(net->named_parameters().keys(), names);
}

TEST(MisuseOfTargets, NothingIsTargeted) {
  expect_refused<ConfigError>({"Please specify `target_modules`"}, {.r = 2});
}

TEST(MisuseOfTargets, AllOfThemAreExcluded) {
  LoraConfig config{.r = 2, .target_modules = ".*"};
  config.exclude_modules = NamesOrPattern(".*");
  expect_refused<NoMatchError>({"all modules were excluded", "exclude_modules", "modules_to_save"},
                               config);
}

TEST(MisuseOfTargets, NeitherModulesNorParameters) {
  expect_refused<NoMatchError>({"target_modules: expected names or a pattern"},
                               {.r = 2, .target_modules = Names{}});
}

TEST(MisuseOfTargets, NamesThatAreNotThere) {
  expect_refused<NoMatchError>({"['linn'] matched nothing", "Closest names: 'lin'"},
                               {.r = 2, .target_modules = {"linn"}});
}

TEST(MisuseOfTargets, LayersThatAreNotThereAreSaid) {
  expect_refused<NoMatchError>(
      {"matched nothing", "layers_to_transform = [5]", "layers_pattern = "},
      {.r = 2,
       .target_modules = {"lin"},
       .layers_to_transform = LayerIndices(std::vector<int64_t>{5}),
       .layers_pattern = NamesOrPattern(Names{"layers"})});
}

TEST(MisuseOfTargets, SomeAreExcludedAndTheOthersAreNotMeant) {
  LoraConfig config{.r = 2, .target_modules = {"lin"}};
  config.exclude_modules = NamesOrPattern(Names{"lin"});
  expect_refused<NoMatchError>({"matched nothing", "exclude_modules and modules_to_save take out"},
                               config);
}

TEST(MisuseOfTargets, ExclusionsWithoutEffectAreWarnedOf) {
  LoraConfig config{.r = 2, .target_modules = {"lin"}};
  config.exclude_modules = NamesOrPattern(Names{"nothing"});
  expect_warning({"You have passed exclude_modules=", "nothing", "but no modules were excluded"},
                 [&] { get_peft_model(Tree(), config); });
}

TEST(MisuseOfTargets, OnlyParametersMatchedIsWarnedOf) {
  const LoraConfig config{
      .r = 2, .target_modules = {"nothing"}, .target_parameters = Names{"layers.0.lin.weight"}};
  expect_warning({"target_modules=", "nothing", "were set but no module was matched"},
                 [&] { get_peft_model(Tree(), config); });
}

TEST(MisuseOfTargets, OnlyModulesMatchedIsWarnedOf) {
  const LoraConfig config{.r = 2, .target_modules = {"lin"}, .target_parameters = Names{"nothing"}};
  expect_warning({"target_parameters=", "nothing", "were set but no parameter was matched"},
                 [&] { get_peft_model(Tree(), config); });
}

TEST(MisuseOfTargets, RanksOfNothingAreWarnedOf) {
  LoraConfig config{.r = 2, .target_modules = {"lin"}};
  config.rank_pattern = {{"nothing", 4}};
  expect_warning({"rank_pattern keys did not match any targeted module", "nothing"},
                 [&] { get_peft_model(Tree(), config); });
}

TEST(MisuseOfTargets, AlphasOfNothingAreWarnedOf) {
  LoraConfig config{.r = 2, .target_modules = {"lin"}};
  config.alpha_pattern = {{"nothing", Number(4)}};
  expect_warning({"alpha_pattern keys did not match any targeted module", "nothing"},
                 [&] { get_peft_model(Tree(), config); });
}

TEST(MisuseOfTargets, AnEmptyNameAmongMany) {
  expect_message<ConfigError>({"target_modules", "empty string"}, [] {
    minimal_targets({"", "a.b"}, {});
  });
}

TEST(MisuseOfTargets, AModuleThatTakesNoAdapter) {
  expect_refused<UnsupportedError>({"'norm'", "LayerNorm"}, {.r = 2, .target_modules = {"norm"}});
}

TEST(MisuseOfTargets, AParameterOfTheTopLevel) {
  expect_refused<ConfigError>(
      {"'loose'", "top-level module"},
      {.r = 2, .target_modules = Names{}, .target_parameters = Names{"loose"}});
}

TEST(MisuseOfTargets, AParameterOfATargetedModule) {
  expect_refused<ConfigError>(
      {"'layers.0.lin.weight'", "target_modules too", "target_modules = []"},
      {.r = 2, .target_modules = {"lin"}, .target_parameters = Names{"layers.0.lin.weight"}});
}

TEST(MisuseOfTargets, OtherParametersThanAnotherAdapterHas) {
  LoraConfig config{
      .r = 2, .target_modules = Names{}, .target_parameters = Names{"layers.0.lin.weight"}};
  auto model = get_peft_model(Tree(), config);
  config.target_parameters = Names{"layers.1.lin.weight"};
  expect_message<ConfigError>({"expected the same parameters as adapter 'default' has"},
                              [&] { model.add_adapter("other", config); });
}

TEST(MisuseOfTargets, AStateDictBesideTargetParameters) {
  const LoraConfig config{
      .r = 2, .target_modules = Names{}, .target_parameters = Names{"layers.0.lin.weight"}};
  const StateDict state{{"layers.0.lin.lora_A.weight", torch::ones({2, 4})}};
  expect_message<ConfigError>({"state_dict", "without target_parameters"}, [&] {
    inject_adapter_in_model(config, Tree(), {.state_dict = &state});
  });
}

TEST(MisuseOfTargets, AMethodThatCannotBeInjected) {
  LoraConfig config{.r = 2, .target_modules = {"lin"}};
  config.peft_type = "PREFIX_TUNING";
  expect_message<UnsupportedError>({"PREFIX_TUNING"},
                                   [&] { inject_adapter_in_model(config, Tree()); });
}

TEST(MisuseOfBias, AWordThatMeansNothing) {
  expect_refused<ConfigError>({"bias", "'some'"},
                              {.r = 2, .target_modules = {"lin"}, .bias = "some"});
}

TEST(MisuseOfModulesToSave, AListOfModules) {
  expect_refused<ConfigError>(
      {"cannot be applied to modules of type ModuleList", "'layers'"},
      {.r = 2, .target_modules = {"emb"}, .modules_to_save = Names{"layers"}});
}

TEST(MisuseOfModulesToSave, AModuleThatAnotherAdapterAdapts) {
  auto model = get_peft_model(Tree(), LoraConfig{.r = 2, .target_modules = {"emb"}});
  const LoraConfig config{.r = 2, .target_modules = {"lin"}, .modules_to_save = Names{"emb"}};
  expect_message<ConfigError>({"emb"}, [&] { model.add_adapter("other", config); });
  EXPECT_FALSE(model.tuner().has("other"));
}

TEST(MisuseOfModulesToSave, ANameThatIsNotThereIsWarnedOf) {
  const LoraConfig config{.r = 2, .target_modules = {"lin"}, .modules_to_save = Names{"emd"}};
  expect_warning({"modules_to_save: no module is called 'emd'", "Closest names: 'emb'"},
                 [&] { get_peft_model(Tree(), config); });
}

// Python takes the adapter's own layers for modules to save then, and refuses them.
TEST(MisuseOfModulesToSave, AnAdapterOfTheSameNameIsServed) {
  const LoraConfig config{.r = 2,
                          .target_modules = {"fc1"},
                          .modules_to_save = Names{"fc2"},
                          .init_lora_weights = false};
  const auto model = get_peft_model(Net(), config, {.adapter_name = "fc2"});
  EXPECT_EQ(model.tuner().saved_modules().size(), 1u);
  EXPECT_TRUE(model.get_parameter("fc1.lora_A.fc2.weight").requires_grad());
}

LoraConfig with_tokens(const char* rows) {
  LoraConfig config{.r = 2, .target_modules = {"lin"}};
  config.trainable_token_indices = Json::parse(rows);
  return config;
}

TEST(MisuseOfTrainableTokens, TheWholeEmbeddingToo) {
  LoraConfig config = with_tokens(R"({"emb": [1]})");
  config.modules_to_save = Names{"emb"};
  expect_refused<ConfigError>({"'emb' is in modules_to_save too", "one of them"}, config);
}

TEST(MisuseOfTrainableTokens, AnEmbeddingThatIsNotThere) {
  expect_refused<NoMatchError>({"no module is called 'wte'"}, with_tokens(R"({"wte": [1]})"));
}

TEST(MisuseOfTrainableTokens, AModuleWithoutRows) {
  expect_refused<UnsupportedError>({"'norm'"}, with_tokens(R"({"norm": [1]})"));
}

TEST(MisuseOfTrainableTokens, TyingWhereNothingIsTiedIsWarnedOf) {
  LoraConfig config = with_tokens(R"({"emb": [1]})");
  config.ensure_weight_tying = true;
  expect_warning({"ensure_weight_tying=True but the model does not have tied weights"},
                 [&] { get_peft_model(Tree(), config); });
}

}  // namespace
}  // namespace peft
