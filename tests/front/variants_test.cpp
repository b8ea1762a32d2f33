// What is refused of LoRA's variants, and what is said about it.

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "peft/peft_model.h"
#include "tests/front/support.h"

namespace peft {
namespace {

using test::Net;

struct WithEmbeddingImpl : torch::nn::Module {
  WithEmbeddingImpl() {
    emb = register_module("emb", torch::nn::Embedding(7, 6));
    net = register_module("net", Net());
    attn = register_module("attn", torch::nn::MultiheadAttention(6, 2));
  }
  at::Tensor forward(const at::Tensor& ids) { return net->forward(emb(ids)); }
  torch::nn::Embedding emb{nullptr};
  Net net{nullptr};
  torch::nn::MultiheadAttention attn{nullptr};
};
TORCH_MODULE(WithEmbedding);

// The message of the error that a config meets; the model is then as it was.
template <typename Error>
std::string refused(const LoraConfig& config) {
  WithEmbedding net;
  const auto names = net->named_parameters().keys();
  std::string message;
  try {
    get_peft_model(net, config);
    ADD_FAILURE() << "expected an error";
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_EQ(net->named_parameters().keys(), names);
  return message;
}

TEST(Variants, OnlyOneAtATimeAndOnlyWhereItCanBe) {
  LoraConfig two{.target_modules = {"fc1"}, .use_dora = true};
  two.velora_config = Json::object();
  EXPECT_NE(refused<ConfigError>(two).find("use_dora, velora_config"), std::string::npos);
  EXPECT_NE(refused<ConfigError>({.target_modules = {"attn"}, .use_dora = true}).find("attn"),
            std::string::npos);
  LoraConfig lookup{.target_modules = {"emb"}};
  lookup.velora_config = Json::object();
  EXPECT_NE(refused<ConfigError>(lookup).find("emb"), std::string::npos);
  const LoraConfig biased{.target_modules = {"fc1"}, .use_dora = true, .lora_bias = true};
  EXPECT_NE(refused<ConfigError>(biased).find("lora_bias"), std::string::npos);
}

TEST(Variants, SettingsThatMakeNoSenseAreRefusedByName) {
  const auto velora = [](const char* settings) {
    LoraConfig config{.target_modules = {"fc1"}};
    config.velora_config = Json::parse(settings);
    return refused<ConfigError>(config);
  };
  EXPECT_NE(velora(R"({"num_groups": 0})").find("num_groups"), std::string::npos);
  EXPECT_NE(velora(R"({"scale": -1.0})").find("scale"), std::string::npos);
  EXPECT_NE(velora(R"({"init_type": "x"})").find("init_type"), std::string::npos);
  EXPECT_NE(velora(R"({"groups": 2})").find("'groups'"), std::string::npos);
  const auto blocks = [](const char* settings) {
    LoraConfig config{.r = 4, .target_modules = {"fc1"}};
    config.use_bdlora = Json::parse(settings);
    return refused<ConfigError>(config);
  };
  EXPECT_NE(blocks(R"({"nblocks": 2})").find("match_strict"), std::string::npos);
  EXPECT_NE(blocks(R"({"nblocks": 4, "target_modules_bd_a": ["fc1"]})").find("in_features"),
            std::string::npos);
  EXPECT_NE(blocks(R"({"target_modules_bd_a": ["fc1"], "target_modules_bd_b": ["fc1"]})")
                .find("target_modules_bd_b"),
            std::string::npos);
}

TEST(Variants, TokensThatCannotBeTrainedAreRefused) {
  const auto tokens = [](const char* indices) {
    LoraConfig config{.target_modules = {"fc1"}};
    config.trainable_token_indices = Json::parse(indices);
    return config;
  };
  EXPECT_NE(refused<ConfigError>(tokens(R"({"emb": [7]})")).find("0 to 6"), std::string::npos);
  EXPECT_NE(refused<ConfigError>(tokens(R"({"emb": [1, 1]})")).find("once"), std::string::npos);
  EXPECT_NE(refused<ConfigError>(tokens(R"("emb")")).find("trainable_token_indices"),
            std::string::npos);
  refused<NoMatchError>(tokens("[1]"));  // there is no embed_tokens
  LoraConfig both = tokens(R"({"emb": [1]})");
  both.modules_to_save = std::vector<std::string>{"emb"};
  EXPECT_NE(refused<ConfigError>(both).find("modules_to_save"), std::string::npos);
  LoraConfig adapted = tokens(R"({"emb": [1]})");
  adapted.target_modules = {"emb"};
  refused<ConfigError>(adapted);
}

TEST(Variants, TokensOfTwoAdaptersRunAndMergeOneByOne) {
  WithEmbedding net;
  LoraConfig config{.r = 2, .target_modules = {"fc1"}};
  config.trainable_token_indices = Json::parse(R"({"emb": [1, 2]})");
  auto model = get_peft_model(net, config);
  config.trainable_token_indices = Json::parse(R"({"emb": [2, 3]})");
  model.add_adapter("other", config);
  EXPECT_THROW(model.set_adapter({"default", "other"}), ConfigError);
  EXPECT_THROW(model.merge_adapter({"default", "other"}), ConfigError);
  const at::Tensor before = net->emb->weight.detach().clone();
  model.set_adapter("other");
  for (auto& [name, tensor] : model.trainable_parameters()) tensor.detach().fill_(0.25);
  const at::NoGradGuard no_grad;
  const at::Tensor ids = torch::tensor({{1, 2, 3}});
  const at::Tensor rows = net->emb(ids);
  EXPECT_TRUE(at::equal(rows[0][0], base(before)[1]));
  EXPECT_TRUE((rows[0].slice(0, 1) == 0.25).all().item<bool>());
  model.merge_and_unload();
  EXPECT_TRUE(at::equal(net->emb(ids), rows));
}

TEST(Variants, ParametersThatCannotBeTargetedAreRefused) {
  const auto parameters = [](std::vector<std::string> names) {
    return LoraConfig{.target_modules = std::vector<std::string>{},
                      .target_parameters = std::move(names)};
  };
  refused<NoMatchError>(parameters({"nothing"}));
  EXPECT_NE(refused<ConfigError>(parameters({"fc1.bias"})).find("dimensions"), std::string::npos);
  LoraConfig dropout = parameters({"fc1.weight"});
  dropout.lora_dropout = 0.1;
  EXPECT_NE(refused<ConfigError>(dropout).find("lora_dropout"), std::string::npos);
  LoraConfig dora = parameters({"fc1.weight"});
  dora.use_dora = true;
  EXPECT_NE(refused<ConfigError>(dora).find("use_dora"), std::string::npos);
  LoraConfig twice = parameters({"fc1.weight"});
  twice.target_modules = {"fc1"};
  refused<ConfigError>(twice);
}

TEST(Variants, AdaptersOnParametersHaveTheSameOnes) {
  WithEmbedding net;
  LoraConfig config{.r = 2,
                    .target_modules = std::vector<std::string>{},
                    .target_parameters = std::vector<std::string>{"fc1.weight", "fc2.weight"}};
  auto model = get_peft_model(net, config);
  config.target_parameters = std::vector<std::string>{"fc2.weight", "fc1.weight"};
  model.add_adapter("same", config);
  config.target_parameters = std::vector<std::string>{"fc1.weight"};
  EXPECT_THROW(model.add_adapter("fewer", config), ConfigError);
  model.delete_adapter("default");
  EXPECT_EQ(model.state_dict("same").names().size(), 4u);
}

TEST(Variants, AloraIsForCausalLanguageModels) {
  std::vector<std::string> warnings;
  const auto former = set_warning_sink([&](const std::string& text) { warnings.push_back(text); });
  LoraConfig config{.target_modules = {"fc1"}};
  config.alora_invocation_tokens = Json::parse("[1, 2]");
  config.validate();
  set_warning_sink(former);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("CAUSAL_LM"), std::string::npos);
  config.alora_invocation_tokens = Json::parse(R"(["a"])");
  EXPECT_THROW(config.validate(), ConfigError);
}

}  // namespace
}  // namespace peft
