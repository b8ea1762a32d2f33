// What Python PEFT refuses or warns of when adapters are combined, converted and given special
// beginnings or optimisers: one test for each that the tests of these do not have already.

#include <gtest/gtest.h>

#include "peft/arithmetic.h"
#include "peft/base/error.h"
#include "peft/convert_to_lora.h"
#include "peft/lora_init.h"
#include "peft/optimizers.h"
#include "peft/tensor/task_arithmetic.h"
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

const LoraConfig kAdapter{.r = 2, .target_modules = {"fc1"}, .init_lora_weights = false};

// The adapters "default" and, with its own config, "other".
PeftModelFor<Net> with_other(const LoraConfig& other, const LoraConfig& first = kAdapter) {
  auto model = get_peft_model(Net(), first);
  model.add_adapter("other", other);
  return model;
}

void combine(PeftModelFor<Net>& model, const CombineOptions& options,
             const Names& adapters = {"default", "other"}) {
  model.add_weighted_adapter(adapters, std::vector<double>(adapters.size(), 1.0), "new", options);
}

TEST(MisuseOfRescaling, AModelWithoutLora) {
  auto model = get_peft_model(Net(), kAdapter);
  model.delete_adapter("default");
  expect_message<ConfigError>({"scaling is only supported for models with LoRA layers"},
                              [&] { (void)rescale_adapter_scale(model, 0.5); });
}

TEST(MisuseOfCombining, AnAdapterThatNobodyHas) {
  auto model = with_other(kAdapter);
  expect_message<NotFoundError>({"'nobody' does not exist"}, [&] {
    combine(model, {}, {"default", "nobody"});
  });
}

TEST(MisuseOfCombining, NoAdapters) {
  auto model = with_other(kAdapter);
  expect_message<ConfigError>({"adapters: expected one name or more"},
                              [&] { combine(model, {}, {}); });
}

TEST(MisuseOfCombining, AWordThatMeansNothing) {
  auto model = with_other(kAdapter);
  expect_message<ConfigError>({"combination_type", "got 'mean'", "'dare_ties_svd'"},
                              [&] { combine(model, {.combination_type = "mean"}); });
}

TEST(MisuseOfCombining, OtherRanks) {
  LoraConfig other = kAdapter;
  other.r = 3;
  auto model = with_other(other);
  expect_message<ConfigError>({"'linear'", "must have the same r value", "'2', '3'"},
                              [&] { combine(model, {.combination_type = "linear"}); });
}

TEST(MisuseOfCombining, ListsAndPatterns) {
  LoraConfig other = kAdapter;
  other.target_modules = "fc1";
  auto model = with_other(other);
  expect_message<ConfigError>({"should follow the same target modules type"},
                              [&] { combine(model, {.combination_type = "cat"}); });
}

TEST(MisuseOfCombining, CopiesOfModules) {
  LoraConfig saving = kAdapter;
  saving.modules_to_save = Names{"fc2"};
  auto model = with_other(saving, saving);
  expect_message<UnsupportedError>({"modules_to_save", "'fc2'"},
                                   [&] { combine(model, {.combination_type = "cat"}); });
}

TEST(MisuseOfCombining, Parameters) {
  const LoraConfig config{
      .r = 2, .target_modules = Names{}, .target_parameters = Names{"fc1.weight"}};
  auto model = with_other(config, config);
  expect_message<UnsupportedError>({"'default'", "target_parameters"},
                                   [&] { combine(model, {.combination_type = "cat"}); });
}

TEST(MisuseOfCombining, ADensityThatIsMissing) {
  auto model = with_other(kAdapter);
  expect_message<ConfigError>({"'ties'", "density", "got none"},
                              [&] { combine(model, {.combination_type = "ties"}); });
}

TEST(MisuseOfCombining, ADensityBelowZero) {
  auto model = with_other(kAdapter);
  expect_message<ConfigError>({"density: expected a number of 0 or more", "-0.5"}, [&] {
    combine(model, {.combination_type = "magnitude_prune", .density = -0.5});
  });
}

TEST(MisuseOfCombining, ADensityThatKeepsAllIsWarnedOf) {
  auto model = with_other(kAdapter);
  expect_warning({"The density", "no pruning will be performed"},
                 [&] { combine(model, {.combination_type = "magnitude_prune", .density = 1.5}); });
}

TEST(MisuseOfCombining, ARankOfNothing) {
  auto model = with_other(kAdapter);
  expect_message<ConfigError>({"svd_rank: expected 1 or more, got 0"},
                              [&] { combine(model, {.combination_type = "svd", .svd_rank = 0}); });
}

TEST(MisuseOfCombining, AWordForSignsThatMeansNothing) {
  auto model = with_other(kAdapter);
  expect_message<ConfigError>({"majority_sign_method", "'loudest'"}, [&] {
    combine(model, {.combination_type = "ties", .density = 0.5, .majority_sign_method = "loudest"});
  });
}

TEST(MisuseOfConversion, LoraIsWarnedOf) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_warning({"to LoRA that is already a LoRA adapter"},
                 [&] { convert_to_lora(model, int64_t{2}); });
}

TEST(MisuseOfConversion, AShareAboveAll) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<ConfigError>({"threshold", "above 0 and up to 1", "1.5"},
                              [&] { convert_to_lora(model, 1.5); });
}

TEST(MisuseOfConversion, AShareOfNothing) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<ConfigError>({"threshold", "above 0 and up to 1"},
                              [&] { convert_to_lora(model, 0.0); });
}

TEST(MisuseOfConversion, ARankOfNothing) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<ConfigError>({"rank: expected 1 or more, got 0"},
                              [&] { convert_to_lora(model, int64_t{0}); });
}

TEST(MisuseOfConversion, ARankAboveTheLayers) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<ConfigError>({"fc1", "rank is larger than the weight", "at most 5, got 6"},
                              [&] { convert_to_lora(model, int64_t{6}); });
}

TEST(MisuseOfConversion, TrainedBiases) {
  LoraConfig config = kAdapter;
  config.bias = "all";
  auto model = get_peft_model(Net(), config);
  expect_message<ConfigError>({"sets bias='all'"}, [&] { convert_to_lora(model, int64_t{2}); });
}

struct Lookup : nn::Module {
  Lookup() { register_module("emb", nn::Embedding(7, 6)); }
};

TEST(MisuseOfConversion, LayersThatCannotBeConverted) {
  auto model =
      get_peft_model(std::make_shared<Lookup>(), LoraConfig{.r = 2, .target_modules = {"emb"}});
  expect_message<UnsupportedError>({"emb.weight", "only linear layers can be converted"},
                                   [&] { convert_to_lora(model, int64_t{2}); });
}

TEST(MisuseOfIntruders, AnAdapterThatNobodyHas) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<NotFoundError>({"'nobody' does not exist"}, [&] {
    reduce_intruder_dimension(model, {.old_adapter_name = "nobody"});
  });
}

LoraConfig eva_config() {
  LoraConfig config = kAdapter;
  config.init_lora_weights = "eva";
  config.eva_config.emplace();
  return config;
}

TEST(MisuseOfEva, NoData) {
  auto model = get_peft_model(Net(), eva_config(), {.low_cpu_mem_usage = true});
  expect_message<ConfigError>({"EVA", "at least one batch of data, got none"},
                              [&] { initialize_lora_eva_weights(model, {}); });
}

TEST(MisuseOfEva, AnotherBeginning) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<ConfigError>({"init_lora_weights: expected 'eva'"},
                              [&] { initialize_lora_eva_weights(model, {}); });
}

TEST(MisuseOfEva, SeveralActiveAdapters) {
  auto model = get_peft_model(Net(), eva_config(), {.low_cpu_mem_usage = true});
  model.add_adapter("other", kAdapter);
  model.set_adapter({"default", "other"});
  expect_message<ConfigError>({"expected a single active adapter", "'default', 'other'"},
                              [&] { initialize_lora_eva_weights(model, {}); });
}

// What the warning of EVA with memory advises.
TEST(MisuseOfEva, WithoutMemoryItBeginsAsWithIt) {
  torch::manual_seed(3);
  Net net, other;
  {
    const at::NoGradGuard no_grad;
    for (const auto& parameter : other->named_parameters()) {
      parameter.value().copy_(net->named_parameters()[parameter.key()]);
    }
  }
  const at::Tensor data = torch::randn({40, 6});
  std::vector<StateDict> states;
  for (const bool without : {false, true}) {
    const CollectedWarnings warnings;
    Net& one = without ? other : net;
    auto model = get_peft_model(one, eva_config(), {.low_cpu_mem_usage = without});
    EXPECT_EQ(warnings.tell("low_cpu_mem_usage"), !without);
    EXPECT_EQ(model.get_parameter("fc1.lora_A.default.weight").is_meta(), without);
    const EvaBatch batch{.forward = [&] { one->forward(data); }};
    initialize_lora_eva_weights(model, {batch, batch});
    states.push_back(model.state_dict());
    EXPECT_EQ(model.trainable_parameters().size(), 2u);
    model->forward(data).sum().backward();
  }
  ASSERT_EQ(states[0].names(), states[1].names());
  EXPECT_TRUE(at::allclose(states[0].at("base_model.model.fc1.lora_A.weight"),
                           states[1].at("base_model.model.fc1.lora_A.weight")));
}

TEST(MisuseOfOptimizers, ARateBelowZero) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<ConfigError>({"lr", "-1"}, [&] { create_lorafa_optimizer(model, {.lr = -1}); });
}

TEST(MisuseOfOptimizers, AFirstBetaOfOne) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<ConfigError>({"beta1"}, [&] { create_lorafa_optimizer(model, {.beta1 = 1.0}); });
}

TEST(MisuseOfOptimizers, ASecondBetaBelowZero) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<ConfigError>({"beta2"}, [&] { create_lorafa_optimizer(model, {.beta2 = -0.5}); });
}

TEST(MisuseOfOptimizers, AnEpsilonBelowZero) {
  auto model = get_peft_model(Net(), kAdapter);
  expect_message<ConfigError>({"eps"}, [&] { create_lorafa_optimizer(model, {.eps = -1e-8}); });
}

TEST(MisuseOfOptimizers, NothingToPrecondition) {
  auto model =
      get_peft_model(std::make_shared<Lookup>(), LoraConfig{.r = 2, .target_modules = {"emb"}});
  expect_message<ConfigError>({"linear"}, [&] {
    create_riemannian_optimizer<torch::optim::SGD>(model, torch::optim::SGDOptions(1e-3));
  });
}

TEST(MisuseOfOptimizers, AClosureBehindPreconditioning) {
  auto model = get_peft_model(Net(), kAdapter);
  const auto sgd =
      create_riemannian_optimizer<torch::optim::SGD>(model, torch::optim::SGDOptions(1e-3));
  expect_message<UnsupportedError>({"without a closure"},
                                   [&] { sgd->step([] { return at::zeros({}); }); });
}

}  // namespace
}  // namespace peft
