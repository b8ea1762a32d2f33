// A table of mistakes with LoRA and its variants: each is refused, or warned of, by name. What
// other tests of one subject have already is not repeated here.

#include <gtest/gtest.h>

#include <cmath>

#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/models/registry.h"
#include "peft/peft_model.h"
#include "peft/peft_model_for_causal_lm.h"
#include "tests/front/models.h"
#include "tests/front/support.h"
#include "tests/support/collected_warnings.h"
#include "tests/support/expect_message.h"

namespace peft {
namespace {

namespace nn = torch::nn;
using test::CollectedWarnings;
using test::expect_message;

// A layer of every kind that some option does not fit.
struct KindsImpl : nn::Module {
  KindsImpl() {
    emb = register_module("emb", nn::Embedding(7, 6));
    lin = register_module("lin", nn::Linear(6, 5));
    bare = register_module("bare", nn::Linear(nn::LinearOptions(6, 5).bias(false)));
    wide = register_module("wide", nn::Linear(6, 5));
    wide->to(torch::kDouble);
    conv = register_module("conv", nn::Conv1d(4, 4, 3));
    grouped = register_module("grouped", nn::Conv1d(nn::Conv1dOptions(4, 4, 1).groups(2)));
    turned = register_module("turned", test::models::Conv1D(5, 6));
    attn = register_module("attn", nn::MultiheadAttention(6, 2));
    mixed = register_module(
        "mixed", nn::MultiheadAttention(nn::MultiheadAttentionOptions(6, 2).kdim(4).vdim(4)));
  }
  nn::Embedding emb{nullptr};
  nn::Linear lin{nullptr}, bare{nullptr}, wide{nullptr};
  nn::Conv1d conv{nullptr}, grouped{nullptr};
  test::models::Conv1D turned{nullptr};
  nn::MultiheadAttention attn{nullptr}, mixed{nullptr};
};
TORCH_MODULE(Kinds);

// The mistakes that tests/front/golden_misuse.py showed to Python.
Json mistakes(const char* kind) {
  return read_json_file(PEFT_SOURCE_DIR "/tests/front/golden_misuse.json")[kind];
}

std::vector<std::string> words_of(const Json& mistake) {
  return mistake["words"].get<std::vector<std::string>>();
}

void adapt(Kinds& net, const Json& mistake) {
  get_peft_model(net, parse_method_config<LoraConfig>(mistake["config"], "a.json"));
}

TEST(Misuse, WhatPythonRefusesIsRefused) {
  for (const Json& mistake : mistakes("errors")) {
    SCOPED_TRACE(dump_json(mistake["config"], {.indent = std::nullopt}));
    Kinds net;
    const auto names = net->named_parameters().keys();
    expect_message<ConfigError>(words_of(mistake), [&] { adapt(net, mistake); });
    EXPECT_EQ(net->named_parameters().keys(), names);
  }
}

TEST(Misuse, WhatPythonWarnsOfIsWarnedOf) {
  for (const Json& mistake : mistakes("warnings")) {
    SCOPED_TRACE(dump_json(mistake["config"], {.indent = std::nullopt}));
    const CollectedWarnings warnings;
    Kinds net;
    try {
      adapt(net, mistake);
    } catch (const ConfigError&) {
      // CorDA goes on to ask for its data.
    }
    for (const std::string& word : words_of(mistake)) EXPECT_TRUE(warnings.tell(word)) << word;
  }
}

TEST(Misuse, OfParametersInAMixedBatch) {
  Kinds net;
  auto model =
      get_peft_model(net, LoraConfig{.r = 2,
                                     .target_modules = std::vector<std::string>{},
                                     .target_parameters = std::vector<std::string>{"lin.weight"}});
  model.eval();
  expect_message<UnsupportedError>({"does not support mixed adapter batches"},
                                   [&] { (void)model.mixed_batch({"default"}); });
}

TEST(Misuse, OfDoraBesideMegatron) {
  LoraConfig config{.target_modules = {"lin"}, .use_dora = true};
  config.megatron_config = Json{{"a", 1}};
  expect_message<UnsupportedError>({"megatron_config"}, [&] { config.validate(); });
}

TEST(Misuse, OfKasaBesideAnAdapterWithoutIt) {
  auto model = get_peft_model(Kinds(), LoraConfig{.r = 2, .target_modules = {"lin"}});
  LoraConfig kasa{.r = 2, .target_modules = {"lin"}};
  kasa.kasa_config = Json::object();
  expect_message<ConfigError>({"kasa_config", "'default'", "KaSA cannot be combined"},
                              [&] { model.add_adapter("kasa", kasa); });
}

// The adapter's parameters, all of one value.
void set_all(PeftModel& model, double value) {
  for (const auto& [name, tensor] : model.trainable_parameters()) tensor.detach().fill_(value);
}

TEST(Misuse, OfMerging) {
  auto biased =
      get_peft_model(Kinds(), LoraConfig{.r = 2, .target_modules = {"bare"}, .lora_bias = true});
  expect_message<UnsupportedError>({"bare.weight", "the base layer has no bias"},
                                   [&] { biased.merge_adapter(); });
  Kinds net;
  auto model = get_peft_model(net, LoraConfig{.r = 2, .target_modules = {"lin", "emb"}});
  set_all(model, NAN);
  const at::Tensor before = base(net->lin->weight).detach().clone();
  expect_message<ConfigError>({"NaNs detected in the merged weights", "default"},
                              [&] { model.merge_adapter({}, true); });
  EXPECT_TRUE(at::equal(base(net->lin->weight), before));
  set_all(model, 0.5);
  const CollectedWarnings warnings;
  model.unmerge_adapter();
  EXPECT_TRUE(warnings.tell("Already unmerged. Nothing to do."));
  model.merge_adapter();
  EXPECT_FALSE(warnings.tell("nothing to do"));
  model.merge_adapter();
  EXPECT_TRUE(warnings.tell("nothing to do"));
}

TEST(Misuse, DrawsThatAreNotNumbersAreLeftOut) {
  LoraConfig config{.r = 2, .target_modules = {"lin"}, .init_lora_weights = false};
  config.monteclora_config = Json::object();
  Kinds net;
  auto model = get_peft_model(net, config);
  const at::Tensor x = torch::randn({3, 6});
  model.eval();
  const at::Tensor plain = net->lin(x);
  model.train();
  for (const auto& [name, tensor] : model.trainable_parameters()) {
    if (name.find("std_prior") != std::string::npos) tensor.detach().fill_(NAN);
  }
  const CollectedWarnings warnings;
  EXPECT_TRUE(at::allclose(net->lin(x), plain));
  EXPECT_TRUE(warnings.tell("sampling produced NaNs"));
}

TEST(Misuse, AloraRestsWhereTheTokensAreNotKnown) {
  const Json shape = {{"model_type", "llama"},
                      {"vocab_size", 20},
                      {"hidden_size", 8},
                      {"intermediate_size", 8},
                      {"num_hidden_layers", 1},
                      {"num_attention_heads", 2},
                      {"num_key_value_heads", 2},
                      {"max_position_embeddings", 16},
                      {"tie_word_embeddings", false},
                      {"rms_norm_eps", 1e-5}};
  LanguageModel language_model = make_language_model(shape);
  language_model->eval();
  const at::NoGradGuard no_grad;
  for (auto& item : language_model->named_parameters()) item.value().normal_(0.0, 0.3);
  const LanguageModelInput input{.inputs_embeds = torch::randn({1, 4, 8})};
  const at::Tensor before = language_model->forward(input);
  LoraConfig config{.r = 2, .target_modules = {"q_proj"}, .init_lora_weights = false};
  config.task_type = "CAUSAL_LM";
  config.alora_invocation_tokens = Json::parse("[3]");
  PeftModelForCausalLM model(language_model, config);
  model.eval();
  const CollectedWarnings warnings;
  EXPECT_TRUE(at::allclose(model.forward(input), before, 1e-4, 1e-5));
  EXPECT_TRUE(warnings.tell("only inputs_embeds are provided"));
}

}  // namespace
}  // namespace peft
