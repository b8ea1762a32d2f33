// State dicts of adapters and of the base, and adapters in a module without a PeftModel around it.

#include "peft/functional.h"

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>

#include "peft/base/error.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

using test::CollectedWarnings;
using test::expect_message;
using test::Net;
using test::TemporaryFolder;

const LoraConfig kRandom{.r = 2, .target_modules = {"fc1"}, .init_lora_weights = false};

std::vector<std::string> sorted_names(const StateDict& state) {
  auto names = state.names();
  std::sort(names.begin(), names.end());
  return names;
}

StateDict plain_state(const Net& net) {
  StateDict state;
  for (const auto& item : net->named_parameters()) state.set(item.key(), item.value().clone());
  return state;
}

TEST(Functional, AModuleComputesWithInjectedAdapters) {
  const at::Tensor x = torch::randn({3, 6});
  Net net;
  const at::Tensor plain = net->forward(x);
  const InjectedAdapters adapters = inject_adapter_in_model(kRandom, net);
  const at::Tensor adapted = net->forward(x);
  EXPECT_FALSE(at::allclose(adapted, plain));
  const StateDict state = get_peft_model_state_dict(adapters);
  EXPECT_EQ(sorted_names(state),
            (std::vector<std::string>{"fc1.lora_A.weight", "fc1.lora_B.weight"}));

  Net other;
  const InjectedAdapters again = inject_adapter_in_model(kRandom, other, {.adapter_name = "b"});
  const LoadResult result = set_peft_model_state_dict(again, state, "b", {.strict = true});
  EXPECT_EQ(result.matched.size(), 2u);
  delete_adapter(adapters, "default");
  EXPECT_TRUE(at::equal(net->forward(x), plain));
  expect_message<NotFoundError>({"'default'", "does not exist"},
                                [&] { delete_adapter(adapters, "default"); });
}

TEST(Functional, ActivatesAndFreezesAdapters) {
  Net net;
  const InjectedAdapters adapters = inject_adapter_in_model(kRandom, net);
  inject_adapter_in_model(kRandom, adapters, {.adapter_name = "second"});
  const at::Tensor x = torch::randn({3, 6});
  const at::Tensor first = net->forward(x);
  set_adapter(adapters, "second");
  EXPECT_FALSE(at::allclose(net->forward(x), first));
  const auto learns = [&](const char* name) {
    return net->named_parameters()[std::string("fc1.lora_A.") + name + ".weight"].requires_grad();
  };
  EXPECT_TRUE(learns("second"));
  EXPECT_FALSE(learns("default"));
  set_requires_grad(adapters, {"default", "second"}, false);
  EXPECT_FALSE(learns("second"));
  EXPECT_THROW(set_requires_grad(adapters, {"second", "third"}), NotFoundError);
  EXPECT_FALSE(learns("second")) << "nothing may change where one of the names is wrong";
  EXPECT_THROW(set_adapter(adapters, "third"), NotFoundError);
}

TEST(Functional, CastsNarrowAdaptersInTheirPlace) {
  Net net;
  net->to(at::kBFloat16);
  const InjectedAdapters adapters = inject_adapter_in_model(kRandom, net);
  const auto dtype = [&] { return net->named_parameters()["fc1.lora_A.default.weight"].dtype(); };
  EXPECT_EQ(dtype(), at::kBFloat16);
  cast_adapter_dtype(adapters, "default", /*autocast_adapter_dtype=*/false);
  EXPECT_EQ(dtype(), at::kBFloat16);
  cast_adapter_dtype(adapters, "default");
  EXPECT_EQ(dtype(), at::kFloat);
  EXPECT_EQ(net->fc1->weight.dtype(), at::kBFloat16);
  EXPECT_NO_THROW(net->forward(torch::randn({2, 6}).to(at::kBFloat16)));
  EXPECT_THROW(cast_adapter_dtype(adapters, "other"), NotFoundError);
}

TEST(Functional, AStateDictDecidesOnTheTargets) {
  Net net, other;
  const StateDict state = get_peft_model_state_dict(
      inject_adapter_in_model(LoraConfig{.r = 2, .target_modules = {"fc2"}}, net));
  const CollectedWarnings warnings;
  const InjectedAdapters adapters = inject_adapter_in_model(kRandom, other, {.state_dict = &state});
  EXPECT_EQ(get_peft_model_state_dict(adapters).names(), state.names());
  EXPECT_TRUE(warnings.empty());
  EXPECT_EQ(adapters.tuner().config("default").as<LoraConfig>().target_modules,
            TargetModules{"fc1"});
  Net third;
  StateDict more = state;
  more.set("fc1.lora_C.weight", torch::ones({1}));
  inject_adapter_in_model(kRandom, third, {.state_dict = &more});
  EXPECT_TRUE(warnings.tell("inconsistency"));
  EXPECT_TRUE(warnings.tell("fc1.lora_C.weight"));
  Net fourth;
  const StateDict nothing{{"fc1.weight", torch::ones({1})}};
  expect_message<ConfigError>({"state_dict", "'lora_'"}, [&] {
    inject_adapter_in_model(kRandom, fourth, {.state_dict = &nothing});
  });
}

TEST(Functional, WithoutMemoryUntilItIsFilled) {
  Net net, other;
  const StateDict state = get_peft_model_state_dict(inject_adapter_in_model(kRandom, net));
  const InjectedAdapters adapters =
      inject_adapter_in_model(kRandom, other, {.low_cpu_mem_usage = true});
  EXPECT_TRUE(other->named_parameters()["fc1.lora_A.default.weight"].is_meta());
  set_peft_model_state_dict(adapters, state);
  const at::Tensor filled = other->named_parameters()["fc1.lora_A.default.weight"];
  EXPECT_TRUE(at::equal(filled, state.at("fc1.lora_A.weight")));
  EXPECT_EQ(filled.data_ptr(), state.at("fc1.lora_A.weight").data_ptr()) << "no second copy";
  EXPECT_TRUE(filled.requires_grad());
}

TEST(BaseState, HasTheNamesAndValuesWithoutAdapters) {
  Net net;
  const StateDict before = plain_state(net);
  auto model = get_peft_model(net, LoraConfig{.r = 2,
                                              .target_modules = {"fc1"},
                                              .modules_to_save = std::vector<std::string>{"fc2"},
                                              .init_lora_weights = false});
  const StateDict state = get_base_model_state_dict(model);
  EXPECT_EQ(state.names(), before.names());
  for (const auto& [name, tensor] : before) EXPECT_TRUE(at::equal(state.at(name), tensor)) << name;
}

TEST(BaseState, IsLoadedBelowTheAdapters) {
  Net net, other;
  auto model = get_peft_model(net, kRandom);
  const StateDict wanted = plain_state(other);
  EXPECT_EQ(set_base_model_state_dict(model, wanted).matched.size(), 4u);
  for (const auto& [name, tensor] : get_base_model_state_dict(model)) {
    EXPECT_TRUE(at::equal(tensor, wanted.at(name))) << name;
  }
  auto same = get_peft_model(other, kRandom);
  set_peft_model_state_dict(same, get_peft_model_state_dict(model));
  const at::Tensor x = torch::randn({3, 6});
  EXPECT_TRUE(at::equal(model.forward(x), same.forward(x)));
}

TEST(BaseState, OtherKeysAndShapesAreRefused) {
  Net net;
  auto model = get_peft_model(net, kRandom);
  const StateDict before = plain_state(net);
  StateDict part = plain_state(Net());
  part.erase("fc2.bias");
  expect_message<MismatchError>({"missing: 'fc2.bias'"},
                                [&] { set_base_model_state_dict(model, part); });
  part.set("fc3.bias", torch::ones({2}));
  expect_message<MismatchError>({"unexpected: 'fc3.bias'"},
                                [&] { set_base_model_state_dict(model, part); });
  StateDict wrong = before;
  wrong.set("fc2.bias", torch::ones({7}));
  expect_message<MismatchError>({"fc2.bias", "[3]", "[7]"},
                                [&] { set_base_model_state_dict(model, wrong, false); });
  for (const auto& [name, tensor] : get_base_model_state_dict(model)) {
    EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
  }
  const LoadResult result = set_base_model_state_dict(model, part, /*strict=*/false);
  EXPECT_EQ(result.missing, std::vector<std::string>{"fc2.bias"});
  EXPECT_EQ(result.unexpected, std::vector<std::string>{"fc3.bias"});
  model.merge_adapter();
  expect_message<ConfigError>({"merged", "unmerge_adapter"},
                              [&] { set_base_model_state_dict(model, before); });
}

TEST(LoadPeftWeights, ReadsTheTensorsOfAFolder) {
  const TemporaryFolder folder("peft_weights");
  Net net;
  auto model = get_peft_model(net, kRandom);
  model.save_pretrained(folder.path());
  const StateDict read = load_peft_weights(folder.path());
  for (const auto& [key, tensor] : get_peft_model_state_dict(model)) {
    EXPECT_TRUE(at::equal(read.at(key), tensor)) << key;
  }
  EXPECT_TRUE(load_peft_weights(folder.path(), {.key_mapping = {{"fc1", "fc9"}}})
                  .contains("base_model.model.fc9.lora_A.weight"));
}

}  // namespace
}  // namespace peft
