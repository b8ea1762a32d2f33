// What Python PEFT refuses or warns of when adapters are added, switched, merged and taken out: one
// test for each.

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/models/registry.h"
#include "peft/peft_model_for_causal_lm.h"
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

const LoraConfig kFirst{.r = 2, .target_modules = {"fc1"}, .init_lora_weights = false};

PeftModelFor<Net> adapted() { return get_peft_model(Net(), kFirst); }

PeftModelFor<Net> with_copies() {
  LoraConfig config = kFirst;
  config.modules_to_save = std::vector<std::string>{"fc2"};
  auto model = get_peft_model(Net(), config);
  model.add_adapter("other", config);
  return model;
}

TEST(MisuseOfGetPeftModel, ASecondTimeIsWarnedOf) {
  Net net;
  const auto first = get_peft_model(net, kFirst);
  expect_warning({"modify a model with PEFT for a second time", "unload"}, [&] {
    get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"fc2"}}, {.adapter_name = "second"});
  });
}

TEST(MisuseOfGetPeftModel, AfterUnloadingItIsTheFirstTime) {
  Net net;
  get_peft_model(net, kFirst).unload();
  const CollectedWarnings warnings;
  get_peft_model(net, kFirst);
  EXPECT_TRUE(warnings.empty());
}

TEST(MisuseOfGetPeftModel, AnotherNameOfTheBaseIsWarnedOf) {
  LoraConfig config = kFirst;
  config.base_model_name_or_path = "org/other";
  expect_warning({"`base_model_name_or_path` was renamed from 'org/other' to 'None'"}, [&] {
    const auto model = get_peft_model(Net(), config);
    EXPECT_FALSE(model.peft_config("default").as<LoraConfig>().base_model_name_or_path);
  });
}

TEST(MisuseOfGetPeftModel, AnotherRevisionIsWarnedOf) {
  LoraConfig config = kFirst;
  config.revision = "v1";
  expect_warning({"base model revision to v1, overwriting with revision v2"}, [&] {
    const auto model = get_peft_model(Net(), config, {.revision = "v2"});
    EXPECT_EQ(model.peft_config("default").as<LoraConfig>().revision, "v2");
  });
}

TEST(MisuseOfGetPeftModel, TheSameRevisionIsNot) {
  LoraConfig config = kFirst;
  config.revision = "v1";
  const CollectedWarnings warnings;
  get_peft_model(Net(), config, {.revision = "v1"});
  EXPECT_TRUE(warnings.empty());
}

TEST(MisuseOfGetPeftModel, EvaWithMemoryIsWarnedOf) {
  LoraConfig config = kFirst;
  config.init_lora_weights = "eva";
  config.eva_config.emplace();
  expect_warning({"eva initialization used with low_cpu_mem_usage=False"},
                 [&] { get_peft_model(Net(), config); });
}

TEST(MisuseOfGetPeftModel, ANameInThePrefixIsWarnedOf) {
  expect_warning({"'lora' should not be contained in the prefix 'lora_'", "reinitialization"},
                 [] { get_peft_model(Net(), kFirst, {.adapter_name = "lora"}); });
}

TEST(MisuseOfAddAdapter, ANameThatExists) {
  auto model = adapted();
  expect_message<ConfigError>({"adapter 'default'", "exists already"},
                              [&] { model.add_adapter("default", kFirst); });
}

TEST(MisuseOfAddAdapter, AnotherMethod) {
  auto model = adapted();
  LoraConfig config = kFirst;
  config.peft_type = "LOHA";
  expect_message<ConfigError>({"different methods cannot be combined", "LORA", "LOHA"},
                              [&] { model.add_adapter("other", config); });
}

TEST(MisuseOfAddAdapter, ANameInThePrefixIsWarnedOf) {
  auto model = adapted();
  expect_warning({"'ora' should not be contained in the prefix"},
                 [&] { model.add_adapter("ora", kFirst); });
}

TEST(MisuseOfAddAdapter, ANameThatIsNoPartOfAName) {
  auto model = adapted();
  expect_message<ConfigError>({"'a.b'", "without dots"}, [&] { model.add_adapter("a.b", kFirst); });
}

TEST(MisuseOfAddAdapter, ASecondOneThatTrainsBiases) {
  LoraConfig config = kFirst;
  config.bias = "all";
  auto model = get_peft_model(Net(), config);
  config.bias = "lora_only";
  expect_message<ConfigError>({"only one adapter may train biases", "'lora_only'", "'default'"},
                              [&] { model.add_adapter("other", config); });
}

TEST(MisuseOfSetAdapter, ANameThatNobodyHas) {
  auto model = adapted();
  expect_message<NotFoundError>({"'nobody' does not exist", "default"},
                                [&] { model.set_adapter("nobody"); });
  EXPECT_EQ(model.active_adapters(), std::vector<std::string>{"default"});
}

TEST(MisuseOfSetAdapter, AMergedModelIsUnmergedWithAWarning) {
  auto model = adapted();
  model.merge_adapter();
  expect_warning({"Adapter cannot be set when the model is merged. Unmerging the model first."},
                 [&] { model.set_adapter("default"); });
  EXPECT_FALSE(model.tuner().merged());
}

TEST(MisuseOfSetAdapter, TwoWithACopyOfOneModule) {
  auto model = with_copies();
  expect_message<ConfigError>({"modules_to_save of 'fc2'", "one active adapter at a time"}, [&] {
    model.set_adapter({"default", "other"});
  });
}

TEST(MisuseOfSetAdapter, NoneWhereModulesHaveCopies) {
  auto model = with_copies();
  expect_message<ConfigError>({"modules_to_save of 'fc2'", "at least one adapter to set"},
                              [&] { model.set_adapter(std::vector<std::string>{}); });
}

TEST(MisuseOfSetAdapter, NoneIsAllOfThemAtRestElsewhere) {
  auto model = adapted();
  model.set_adapter(std::vector<std::string>{});
  EXPECT_TRUE(model.active_adapters().empty());
}

TEST(MisuseOfSetRequiresGrad, ANameThatNobodyHas) {
  auto model = adapted();
  expect_message<NotFoundError>({"'nobody' does not exist"},
                                [&] { model.set_requires_grad("nobody"); });
}

TEST(MisuseOfDeleteAdapter, ANameThatNobodyHas) {
  auto model = adapted();
  expect_message<NotFoundError>({"'nobody' does not exist"},
                                [&] { model.delete_adapter("nobody"); });
}

TEST(MisuseOfDeleteAdapter, AMergedOne) {
  auto model = adapted();
  model.merge_adapter();
  expect_message<ConfigError>({"'default' is merged", "Please unmerge it first"},
                              [&] { model.delete_adapter("default"); });
  EXPECT_EQ(model.peft_config().size(), 1u);
}

TEST(MisuseOfDeleteAdapter, TheActiveOneIsWarnedOf) {
  auto model = adapted();
  model.add_adapter("b", kFirst);
  model.add_adapter("a", kFirst);
  expect_warning({"Adapter default was active which is now deleted. Setting active adapter to a."},
                 [&] { model.delete_adapter("default"); });
  EXPECT_EQ(model.active_adapters(), std::vector<std::string>{"a"});
}

TEST(MisuseOfDeleteAdapter, TheLastOneIsNot) {
  auto model = adapted();
  const CollectedWarnings warnings;
  model.delete_adapter("default");
  EXPECT_TRUE(warnings.empty());
  EXPECT_TRUE(model.active_adapters().empty());
}

TEST(MisuseOfDisableAdapter, TrainedBiasesAreWarnedOf) {
  LoraConfig config = kFirst;
  config.bias = "lora_only";
  auto model = get_peft_model(Net(), config);
  expect_warning({"Careful, disabling adapter layers with bias configured to be 'lora_only'"},
                 [&] { const auto off = model.disable_adapter(); });
}

TEST(MisuseOfDisableAdapter, AMergedModelIsUnmerged) {
  auto model = adapted();
  model.merge_adapter();
  const auto off = model.disable_adapter();
  EXPECT_FALSE(model.tuner().merged());
}

TEST(MisuseOfMerging, ANameThatNobodyHas) {
  auto model = adapted();
  expect_message<NotFoundError>({"'nobody' does not exist"},
                                [&] { model.merge_adapter({"nobody"}); });
}

TEST(MisuseOfMerging, MoreThanWereMergedIsWarnedOf) {
  auto model = adapted();
  model.add_adapter("other", kFirst);
  model.merge_adapter();
  expect_warning(
      {"Already following adapters were merged default", "now additionally merging other"}, [&] {
        model.merge_adapter({"default", "other"});
      });
}

TEST(MisuseOfMerging, AllOfThemAgainIsWarnedOf) {
  auto model = adapted();
  model.merge_adapter();
  expect_warning({"All adapters are already merged, nothing to do."},
                 [&] { model.merge_adapter(); });
}

TEST(MisuseOfMerging, UnmergingWhatIsNotMergedIsWarnedOf) {
  auto model = adapted();
  expect_warning({"Already unmerged. Nothing to do."}, [&] { model.unmerge_adapter(); });
}

struct Normed : nn::Module {
  Normed() {
    register_module("lin", nn::Linear(4, 4));
    register_module("norm", nn::LayerNorm(nn::LayerNormOptions({4})));
  }
};

TEST(MisuseOfAMixedBatch, AModuleToSaveThatTakesNone) {
  auto model = get_peft_model(
      std::make_shared<Normed>(),
      LoraConfig{
          .r = 2, .target_modules = {"lin"}, .modules_to_save = std::vector<std::string>{"norm"}});
  model.eval();
  expect_message<UnsupportedError>({"mixed batching is only supported for", "LayerNorm"},
                                   [&] { (void)model.mixed_batch({"default"}); });
}

LanguageModel small_llama() {
  torch::manual_seed(7);
  LanguageModel model = make_language_model(Json{{"model_type", "llama"},
                                                 {"vocab_size", 20},
                                                 {"hidden_size", 8},
                                                 {"intermediate_size", 12},
                                                 {"num_hidden_layers", 2},
                                                 {"num_attention_heads", 2},
                                                 {"num_key_value_heads", 2},
                                                 {"max_position_embeddings", 16},
                                                 {"tie_word_embeddings", false},
                                                 {"rms_norm_eps", 1e-5}});
  const at::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) item.value().normal_(0.0, 0.3);
  return model;
}

// There is no beam search here; whoever makes one names a row's adapter for each of its beams, as
// Python does, and says which rows went on.
TEST(MisuseOfAMixedBatch, BeamsAreRowsThatAreNamedOnceMore) {
  LoraConfig config{.r = 2, .target_modules = "all-linear", .init_lora_weights = false};
  config.task_type = "CAUSAL_LM";
  PeftModelForCausalLM model(small_llama(), config, {.adapter_name = "a"});
  model.add_adapter("b", config);
  model.eval();
  const at::NoGradGuard no_grad;
  const at::Tensor ids = torch::randint(0, 20, {2, 5});
  const at::Tensor rows = model.forward({.input_ids = ids}, {"a", "b"});
  const at::Tensor beams = at::tensor({0, 0, 1, 1}), kept = at::tensor({1, 1, 0, 0});
  auto scope = model.mixed_batch({"a", "a", "b", "b"});
  const auto run = [&](const at::Tensor& places) {
    return model.get_base_model()->forward({.input_ids = ids.index_select(0, places)});
  };
  EXPECT_TRUE(at::allclose(run(beams), rows.index_select(0, beams), 1e-4, 1e-5));
  scope.keep_rows({2, 2, 0, 1});
  EXPECT_TRUE(at::allclose(run(kept), rows.index_select(0, kept), 1e-4, 1e-5));
}

std::vector<at::Tensor> alora_gradients(const std::vector<at::Tensor>& batches, bool checkpointing,
                                        bool all_forwards_first) {
  LoraConfig config{.r = 2, .target_modules = {"q_proj", "o_proj"}, .init_lora_weights = false};
  config.task_type = "CAUSAL_LM";
  config.alora_invocation_tokens = Json::parse("[3]");
  PeftModelForCausalLM model(small_llama(), config);
  model.train();
  model.get_base_model()->set_gradient_checkpointing(checkpointing);
  std::vector<at::Tensor> losses;
  for (const at::Tensor& ids : batches) {
    losses.push_back(model.loss_sum({.input_ids = ids}, ids));
    if (!all_forwards_first) losses.back().backward();
  }
  for (const at::Tensor& loss : losses) {
    if (all_forwards_first) loss.backward();
  }
  std::vector<at::Tensor> gradients;
  for (const auto& [name, tensor] : model.trainable_parameters()) {
    gradients.push_back(tensor.grad());
  }
  return gradients;
}

// Python refuses several forwards before a backward; here each recomputation knows its own tokens.
TEST(MisuseOfAlora, SeveralForwardsBeforeABackwardWithCheckpointsAreServed) {
  const std::vector<at::Tensor> batches = {torch::tensor({{1, 3, 5, 7, 9}}),
                                           torch::tensor({{4, 6, 8, 3, 2}})};
  const auto plain = alora_gradients(batches, false, false);
  const auto served = alora_gradients(batches, true, true);
  ASSERT_EQ(plain.size(), 8u);
  ASSERT_EQ(served.size(), plain.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_GT(plain[i].abs().sum().item<double>(), 0.0) << i;
    EXPECT_TRUE(at::allclose(served[i], plain[i], 1e-5, 1e-6)) << i;
  }
}

}  // namespace
}  // namespace peft
