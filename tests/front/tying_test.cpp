// Adapters that an embedding and its tied head share (ensure_weight_tying), as in Python.

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/methods/lora/hotswap.h"
#include "tests/front/tied_models.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

using namespace test;  // NOLINT: what the golden tests share

std::filesystem::path tying_case(const std::string& name) {
  return std::filesystem::path(PEFT_SOURCE_DIR) / "tests/front/golden_tying" / name;
}

LoraConfig tying(LoraConfig config) {
  config.ensure_weight_tying = true;
  return config;
}

/// A model with an own head.
LanguageModel untied_model() {
  Json config = read_json_file(tied_case("base") / "config.json");
  config["tie_word_embeddings"] = false;
  LanguageModel model = make_language_model(config);
  const at::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) item.value().fill_(0.1);
  return model;
}

/// Whether head and embedding compute with one adapter.
bool shares_memory(PeftModel& model) {
  const StateDict state = model.state_dict();
  const std::string embedding = "base_model.model.model.embed_tokens.lora_embedding_";
  const std::string head = "base_model.model.lm_head.lora_";
  return state.at(embedding + "B").data_ptr() == state.at(head + "A.weight").data_ptr() &&
         state.at(embedding + "A").data_ptr() == state.at(head + "B.weight").data_ptr();
}

class TyingCase : public testing::TestWithParam<const char*> {};

TEST_P(TyingCase, ComputesTrainsAndSavesAsPythonDoes) {
  const auto folder = tying_case(GetParam());
  auto model = PeftModelForCausalLM::from_pretrained(tied_model(), folder, {.is_trainable = true});
  expect_same_files(model, folder);
  expect_training_like_python(
      model, tensors_of(folder / "run.safetensors"),
      [&](const at::Tensor& ids) { return model.forward({.input_ids = ids}); });
}

TEST_P(TyingCase, LearnsWithAdamWAsInPython) {
  const auto folder = tying_case(GetParam());
  const StateDict run = tensors_of(folder / "run.safetensors");
  auto model = PeftModelForCausalLM::from_pretrained(tied_model(), folder, {.is_trainable = true});
  expect_adamw_like_python(
      model, run, [&](const at::Tensor& ids) { return model.forward({.input_ids = ids}); });
}

TEST_P(TyingCase, StaysTiedWhenItIsMergedAndUnloaded) {
  const auto folder = tying_case(GetParam());
  auto model = PeftModelForCausalLM::from_pretrained(tied_model(), folder);
  const CollectedWarnings warnings;
  expect_unloaded_like_python(model.merge_and_unload(), tensors_of(folder / "run.safetensors"));
  EXPECT_FALSE(warnings.tell("no longer tied"));
}

INSTANTIATE_TEST_SUITE_P(Golden, TyingCase,
                         testing::Values("save_head", "save_embedding", "save_both", "lora_head",
                                         "lora_embedding", "lora_both", "lora_pattern",
                                         "lora_ranks", "lora_excluded", "lora_dora", "tokens"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Tying, ANewAdapterIsSharedAndBeginsAsAProductDoes) {
  auto model = get_peft_model(tied_model(), tying({.target_modules = {"lm_head"}}));
  EXPECT_TRUE(shares_memory(model));
  const StateDict state = model.state_dict();
  EXPECT_EQ(state.at("base_model.model.lm_head.lora_B.weight").abs().max().item<double>(), 0);
  EXPECT_GT(state.at("base_model.model.lm_head.lora_A.weight").abs().min().item<double>(), 0);
  EXPECT_EQ(model.trainable_parameters().size(), 4U) << "each of them takes steps of its own";
}

TEST(Tying, LoadingWithoutMemoryOfItsOwnKeepsTheTie) {
  auto model = PeftModelForCausalLM::from_pretrained(tied_model(), tying_case("lora_head"),
                                                     {.low_cpu_mem_usage = true});
  EXPECT_TRUE(shares_memory(model));
}

TEST(Tying, SwappingInAnAdapterOfAHigherRankKeepsTheTie) {
  auto model = get_peft_model(tied_model(), tying({.r = 2, .target_modules = {"lm_head"}}));
  auto other = get_peft_model(tied_model(), tying({.r = 5, .target_modules = {"lm_head"}}));
  const auto& config = other.peft_config("default").as<LoraConfig>();
  lora::hotswap_adapter(model.tuner(), "default", other.state_dict(), config);
  EXPECT_TRUE(shares_memory(model));
  EXPECT_TRUE(at::equal(model.state_dict().at("base_model.model.lm_head.lora_A.weight"),
                        other.state_dict().at("base_model.model.lm_head.lora_A.weight")));
}

TEST(Tying, AdaptersOnOneModelAreTiedEachByItself) {
  auto model = PeftModelForCausalLM::from_pretrained(tied_model(), tying_case("save_head"));
  model.load_adapter(tying_case("save_both"), "second");
  model.add_adapter("third", LoraConfig{.target_modules = {"k_proj"}});
  for (const auto& [adapter, folder] :
       {std::pair("default", "save_head"), std::pair("second", "save_both")}) {
    model.set_adapter(adapter);
    const StateDict run = tensors_of(tying_case(folder) / "run.safetensors");
    expect_close(model.forward({.input_ids = run.at("input")}), run.at("output"), adapter);
  }
  model.delete_adapter("default");
  const StateDict state = model.state_dict("second");
  EXPECT_EQ(state.at("base_model.model.lm_head.weight").data_ptr(),
            state.at("base_model.model.model.embed_tokens.weight").data_ptr());
}

TEST(Tying, WarnsWhereNothingIsTied) {
  const std::vector<std::string> saved{"lm_head"};
  {
    const CollectedWarnings warnings;
    get_peft_model(tied_model(), tying({.target_modules = {"q_proj"}}));
    EXPECT_TRUE(warnings.tell("no tied modules are added"));
  }
  {
    const CollectedWarnings warnings;
    get_peft_model(untied_model(), tying({.target_modules = {"lm_head"}}));
    EXPECT_TRUE(warnings.tell("no tied modules were found"));
  }
  {
    const CollectedWarnings warnings;
    get_peft_model(untied_model(), tying({.target_modules = {"q_proj"},
                                          .trainable_token_indices = Json::parse("[3]")}));
    EXPECT_TRUE(warnings.tell("will not be applied for trainable_token_indices"));
  }
  const CollectedWarnings warnings;
  get_peft_model(tied_model(), tying({.target_modules = {"q_proj"}, .modules_to_save = saved}));
  EXPECT_TRUE(warnings.empty());
}

TEST(Tying, WarnsWhereTiedTargetsAreMerged) {
  auto model = get_peft_model(tied_model(), tying({.target_modules = {"lm_head"}}));
  const CollectedWarnings warnings;
  model.merge_adapter();
  EXPECT_TRUE(warnings.tell("tied_target_modules"));
}

TEST(Tying, AnErrorLeavesTheModelAsItWas) {
  const std::vector<std::string> saved{"embed_tokens"};
  const Json tokens = Json::parse(R"({"embed_tokens": [3], "lm_head": [4]})");
  const std::vector<std::pair<LoraConfig, std::vector<std::string>>> cases{
      {{.target_modules = {"q_proj"}, .trainable_token_indices = tokens},
       {"Cannot ensure weight tying", "lm_head"}},
      {{.target_modules = {"lm_head", "q_proj"}, .exclude_modules = {"embed_tokens"}},
       {"model.embed_tokens", "exclude_modules"}},
      {{.target_modules = {"lm_head"}, .modules_to_save = saved}, {"lm_head", "modules_to_save"}}};
  const LanguageModel model = tied_model();
  const at::Tensor ids = at::arange(6).view({2, 3});
  const at::Tensor before = model->forward({.input_ids = ids});
  for (const auto& [config, parts] : cases) {
    expect_message<ConfigError>(parts, [&] { get_peft_model(model, tying(config)); });
    EXPECT_TRUE(at::equal(model->forward({.input_ids = ids}), before));
    EXPECT_FALSE(model->named_children().contains("lm_head"));
  }
  expect_message<UnsupportedError>({"lm_head", "init_lora_weights", "olora"}, [&] {
    get_peft_model(model, tying({.target_modules = {"lm_head"}, .init_lora_weights = "olora"}));
  });
}

}  // namespace
}  // namespace peft
