#include "peft/models/opt/model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>

#include "peft/base/error.h"
#include "peft/models/registry.h"
#include "tests/models/contract.h"

namespace peft::opt {
namespace {

using test::Contract;

TEST(OptModel, AMaskThatIsTooShortIsAnErrorAndNotAPosition) {
  const auto file = Contract::read("opt_lm");
  const auto model = file.model();
  EXPECT_THROW(
      test::scores(*model, {.ids = file["ids"], .mask = file["left_mask"].narrow(1, 0, 5)}),
      ConfigError);
}

TEST(OptModel, PositionsEndWithTheTable) {
  const auto model = Contract::read("opt_lm").model();
  const auto ids = at::full({1, 17}, 5, at::kLong);
  EXPECT_NO_THROW(test::scores(*model, {.ids = ids.narrow(1, 0, 16)}));
  EXPECT_THROW(test::scores(*model, {.ids = ids}), ConfigError);
}

TEST(OptModel, LayersAreDroppedInTrainingOnly) {
  auto file = Contract::read("opt_lm");
  file.file.config["layerdrop"] = 1.0;
  const auto model = file.model();
  EXPECT_LT(test::relative_error(test::scores(*model, {.ids = file["ids"]}), file["logits"]), 1e-5);
  {
    at::NoGradGuard no_grad;
    for (auto& item : model->named_parameters()) {
      if (item.key().find(".layers.") == std::string::npos) continue;
      item.value().fill_(std::numeric_limits<double>::quiet_NaN());
    }
  }
  EXPECT_TRUE(test::scores(*model, {.ids = file["ids"]}).isnan().any().item<bool>());
  model->train();
  EXPECT_FALSE(test::scores(*model, {.ids = file["ids"]}).isnan().any().item<bool>());
}

TEST(OptConfig, SilenceMeansTransformersDefaults) {
  const auto c = OPTConfig::from_json({{"model_type", "opt"}, {"hidden_size", 48}});
  EXPECT_EQ(c.word_embed_proj_dim, 48);
  EXPECT_EQ(c.ffn_dim, 3072);
  EXPECT_EQ(c.max_position_embeddings, 2048);
  EXPECT_TRUE(c.final_layer_norm);
  EXPECT_FALSE(OPTConfig::from_json({{"do_layer_norm_before", false}}).final_layer_norm);
  EXPECT_FALSE(OPTConfig::from_json({{"_remove_final_layer_norm", true}}).final_layer_norm);
}

TEST(OptConfig, WrongValuesAreErrors) {
  const std::vector<std::pair<std::string, Json>> wrong = {
      {"hidden_size", 7},   {"ffn_dim", -1},    {"vocab_size", 2147483647},
      {"layerdrop", 2},     {"enable_bias", 1}, {"num_hidden_layers", 2000000},
      {"dropout", "little"}};
  for (const auto& [key, value] : wrong) {
    EXPECT_THROW(OPTConfig::from_json({{key, value}}), ConfigError) << key;
  }
}

TEST(OptModel, HasNoModelForTokenClassification) {
  const auto config = Contract::read("opt_lm").config();
  EXPECT_THROW(peft::make_model(config, ModelTask::kTokenClassification), UnsupportedError);
}

}  // namespace
}  // namespace peft::opt
