// KappaTuneSelector against Python's: the same condition numbers and choices.

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include "peft/base/json_text.h"
#include "peft/kappa_targets.h"
#include "peft/models/registry.h"
#include "tests/front/golden_run.h"
#include "tests/front/models.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace fs = std::filesystem;
namespace nn = torch::nn;
using test::expect_message, test::models::Declared;
using Names = std::vector<std::string>;

struct KappaExpertsImpl : nn::Module {
  KappaExpertsImpl() {
    register_parameter("gate_up_proj", torch::zeros({3, 4, 6}));
    register_parameter("down_proj", torch::zeros({3, 6, 4}));
    register_parameter("up_proj", torch::zeros({6, 4}));
    register_parameter("mixing", torch::zeros({3, 4, 4}));
  }
};
TORCH_MODULE(KappaExperts);

struct KappaNetImpl : nn::Module {
  KappaNetImpl() {
    register_module("emb", nn::Embedding(11, 8));
    register_module("lin1", nn::Linear(8, 6));
    register_module("lin2", nn::Linear(6, 6));
    register_module("attn", nn::MultiheadAttention(8, 2));
    register_module("c_fc", Declared(5, 6));
    register_module("wide", nn::Linear(8, 40));
    register_module("experts", KappaExperts());
    register_module("head", nn::Linear(nn::LinearOptions(6, 3).bias(false)));
  }
};
TORCH_MODULE(KappaNet);

fs::path golden_kappa() { return fs::path(PEFT_SOURCE_DIR) / "tests/front/golden_kappa"; }

void fill(nn::Module& module, const std::string& file) {
  const at::NoGradGuard no_grad;
  const StateDict values = test::tensors_of(golden_kappa() / file);
  for (auto& item : module.named_parameters()) item.value().copy_(values.at(item.key()));
}

KappaNet net() {
  KappaNet made;
  fill(*made, "net.safetensors");
  return made;
}

Json choices() { return read_json_file(golden_kappa() / "choices.json"); }

KappaOptions options_of(const Json& given) {
  KappaOptions options;
  if (given.contains("max_dim_size_to_analyze")) {
    options.max_dim_size_to_analyze = given["max_dim_size_to_analyze"];
  }
  if (given.contains("moe_param_suffixes"))
    options.moe_param_suffixes = given["moe_param_suffixes"];
  return options;
}

KappaChoice choice_of(const Json& given) {
  KappaChoice choice;
  if (given.contains("top_p")) choice.top_p = given["top_p"];
  if (given.contains("num_modules")) choice.num_modules = given["num_modules"];
  if (given.contains("threshold")) choice.threshold = given["threshold"];
  return choice;
}

// The same names in the same order. A weight of no full rank has any number above the others.
void expect_same_numbers(const KappaList& ours, const Json& python) {
  ASSERT_EQ(ours.size(), python.size());
  size_t i = 0;
  for (const auto& [name, kappa] : python.items()) {
    EXPECT_EQ(ours[i].first, name);
    const auto expected = kappa.get<double>();
    if (expected > 1e5) {
      EXPECT_GT(ours[i].second, 1e5) << name;
    } else {
      EXPECT_NEAR(ours[i].second, expected, 1e-3 * expected) << name;
    }
    ++i;
  }
}

void expect_as_python(const ModelTree& model, const Json& python) {
  const KappaOptions options = options_of(python["options"]);
  const KappaTuneSelector selector(model, options);
  expect_same_numbers(selector.condition_numbers(), python["modules"]);
  expect_same_numbers(selector.parameter_condition_numbers(), python["parameters"]);
  for (const Json& entry : python["chosen"]) {
    SCOPED_TRACE(dump_json(entry["choice"], {.indent = std::nullopt}));
    const KappaChoice choice = choice_of(entry["choice"]);
    EXPECT_EQ(selector.get_best_targets(choice), entry["modules"].get<Names>());
    EXPECT_EQ(selector.get_best_target_parameters(choice), entry["parameters"].get<Names>());
  }
  const KappaTargets found = find_kappa_target_modules(model, 0.3, options);
  EXPECT_EQ(found.target_modules, python["found"]["target_modules"].get<Names>());
  const Json& parameters = python["found"]["target_parameters"];
  EXPECT_EQ(found.target_parameters.has_value(), !parameters.is_null());
  if (found.target_parameters) {
    EXPECT_EQ(*found.target_parameters, parameters.get<Names>());
  }
}

TEST(KappaTargets, AreThoseThatPythonChooses) {
  const Json python = choices()["models"];
  const ModelTree tree(net().ptr());
  expect_as_python(tree, python["net"]);
  expect_as_python(tree, python["net, other stacks"]);
}

TEST(KappaTargets, OfATiedLanguageModelHaveItsHeadAndLeaveTheModelAsItWas) {
  const Json golden = choices();
  LanguageModel llama = make_language_model(golden["llama_config"]);
  fill(*llama, "llama.safetensors");
  const Names before = llama->named_parameters().keys();
  expect_as_python(ModelTree(llama), golden["models"]["llama"]);
  EXPECT_EQ(llama->named_parameters().keys(), before);
  EXPECT_FALSE(llama->named_children().contains("lm_head"));
}

TEST(KappaTargets, GoIntoAConfig) {
  KappaNet model = net();
  const KappaTargets best = find_kappa_target_modules(model, 0.4, {.max_dim_size_to_analyze = 32});
  ASSERT_TRUE(best.target_parameters);
  LoraConfig config{.r = 2, .target_modules = best.target_modules};
  config.target_parameters = best.target_parameters;
  const auto adapted = get_peft_model(model, config);
  EXPECT_EQ(adapted.tuner().targeted_modules().front(), best.target_modules.front());
}

TEST(KappaTargets, TheNumbersOfAnAdaptedModelAreTheBases) {
  KappaNet model = net();
  const KappaList before = KappaTuneSelector(ModelTree(model.ptr())).condition_numbers();
  const auto adapted =
      get_peft_model(model, LoraConfig{.target_modules = {"lin1"}, .init_lora_weights = false});
  EXPECT_EQ(KappaTuneSelector(adapted.tuner().tree()).condition_numbers(), before);
}

TEST(KappaTargets, ProgressCountsAndWrongNumbersAreRefused) {
  std::vector<int64_t> seen;
  const KappaTuneSelector selector(
      ModelTree(net().ptr()), {.progress = [&](int64_t done, int64_t) { seen.push_back(done); }});
  EXPECT_EQ(seen, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7}));
  expect_message<ConfigError>({"num_modules", "at least 0", "-1"},
                              [&] { selector.get_best_targets({.num_modules = -1}); });
  expect_message<ConfigError>({"top_p", "at least 0"},
                              [&] { selector.get_best_target_parameters({.top_p = -0.5}); });
  nn::Sequential nothing(nn::ReLU{});
  EXPECT_TRUE(KappaTuneSelector(ModelTree(nothing.ptr())).get_best_targets({.top_p = 1}).empty());
}

}  // namespace
}  // namespace peft
