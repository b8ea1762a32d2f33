#include "peft/models/gpt2/model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/models/registry.h"
#include "tests/models/contract.h"

namespace peft::gpt2 {
namespace {

using test::Contract;

TEST(Gpt2Model, PositionsEndWithTheTable) {
  const auto file = Contract::read("gpt2_lm");
  const auto model = file.model();
  const auto ids = at::full({1, 17}, 5, at::kLong);
  EXPECT_NO_THROW(test::scores(*model, {.ids = ids.narrow(1, 0, 16)}));
  EXPECT_THROW(test::scores(*model, {.ids = ids}), ConfigError);
  const auto one = ids.narrow(1, 0, 1);
  EXPECT_THROW(test::scores(*model, {.ids = one, .positions = at::full({1, 1}, 16, at::kLong)}),
               ConfigError);
}

TEST(Gpt2Model, AdaptersAreToldThatWeightsAreTransposed) {
  const auto model = Contract::read("gpt2_lm").model();
  const auto modules = model->named_modules();
  for (const auto* name : {"transformer.h.0.attn.c_attn", "transformer.h.1.mlp.c_fc"}) {
    const auto layer = std::dynamic_pointer_cast<DeclaresWeightUse>(modules[name]);
    ASSERT_TRUE(layer) << name;
    EXPECT_EQ(layer->weight_use(), WeightUse::kTransposedLinear);
  }
}

TEST(Gpt2Model, DropoutsActInTrainingOnly) {
  auto file = Contract::read("gpt2_lm");
  for (const auto* key : {"resid_pdrop", "embd_pdrop", "attn_pdrop"}) {
    auto changed = file;
    changed.file.config[key] = 0.5;
    const auto model = changed.model();
    EXPECT_LT(test::relative_error(test::scores(*model, {.ids = file["ids"]}), file["logits"]),
              1e-5);
    model->train();
    EXPECT_GT(test::relative_error(test::scores(*model, {.ids = file["ids"]}), file["logits"]),
              1e-2)
        << key;
  }
}

TEST(Gpt2Config, SilenceMeansTransformersDefaults) {
  const auto c = GPT2Config::from_json({{"model_type", "gpt2"}});
  EXPECT_EQ(c.vocab_size, 50257);
  EXPECT_EQ(c.n_positions, 1024);
  EXPECT_EQ(c.n_inner, 4 * 768);
  EXPECT_EQ(c.head_dim(), 64);
  EXPECT_EQ(GPT2Config::from_json({{"n_embd", 48}, {"n_inner", nullptr}}).n_inner, 4 * 48);
  EXPECT_EQ(GPT2Config::from_json({{"num_hidden_layers", 3}}).n_layer, 3);
}

TEST(Gpt2Config, WrongValuesAreErrors) {
  const std::vector<std::pair<std::string, Json>> wrong = {{"n_embd", 0},
                                                           {"n_head", 7},
                                                           {"n_layer", 2000000},
                                                           {"vocab_size", 2147483647},
                                                           {"resid_pdrop", 1.5},
                                                           {"scale_attn_weights", "yes"},
                                                           {"layer_norm_epsilon", "small"}};
  for (const auto& [key, value] : wrong) {
    EXPECT_THROW(GPT2Config::from_json({{key, value}}), ConfigError) << key;
  }
  EXPECT_THROW(GPT2Config::from_json({{"activation_function", "xielu"}}), UnsupportedError);
  EXPECT_THROW(GPT2Config::from_json({{"add_cross_attention", true}}), UnsupportedError);
}

}  // namespace
}  // namespace peft::gpt2
