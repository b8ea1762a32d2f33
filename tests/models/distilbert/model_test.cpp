#include "peft/models/distilbert/model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "peft/base/error.h"
#include "peft/models/common/growing_cache.h"
#include "tests/models/contract.h"

namespace peft {
namespace {

using test::Contract;

TEST(DistilBertConfig, BothSpellingsOfSizesAreRead) {
  const auto own = distilbert::DistilBertConfig::from_json(
      {{"dim", 24}, {"n_layers", 3}, {"n_heads", 2}, {"seq_classif_dropout", 0.3}});
  EXPECT_EQ(own.hidden_size, 24);
  EXPECT_EQ(own.num_hidden_layers, 3);
  EXPECT_EQ(own.num_attention_heads, 2);
  EXPECT_EQ(own.classifier_dropout, 0.3);
  const auto common = distilbert::DistilBertConfig::from_json(
      {{"hidden_size", 24}, {"num_hidden_layers", 3}, {"num_attention_heads", 2}});
  EXPECT_EQ(common.hidden_size, 24);
  EXPECT_EQ(common.num_hidden_layers, 3);
  EXPECT_EQ(common.num_attention_heads, 2);
  EXPECT_THROW(distilbert::DistilBertConfig::from_json({{"dim", 10}, {"n_heads", 4}}), ConfigError);
}

TEST(DistilBert, SinusoidalPositionsBeginAsSuch) {
  Json config = {{"model_type", "distilbert"},
                 {"vocab_size", 8},
                 {"dim", 4},
                 {"n_heads", 1},
                 {"hidden_dim", 4},
                 {"n_layers", 1},
                 {"max_position_embeddings", 3},
                 {"sinusoidal_pos_embds", true}};
  const auto model = distilbert::make_model(config, ModelTask::kBody, at::kFloat);
  const auto got = model->named_parameters()["embeddings.position_embeddings.weight"];
  // sin, cos of position / 10000^(2 * (column / 2) / width), as transformers initialises them.
  const auto expected = torch::tensor({{0.0, 1.0, 0.0, 1.0},
                                       {0.841471, 0.540302, 0.0099998, 0.99995},
                                       {0.909297, -0.416147, 0.0199987, 0.9998}});
  EXPECT_TRUE(at::allclose(got, expected.to(at::kFloat), 1e-5, 1e-6));
}

TEST(DistilBert, TypesAndCachesAreRefused) {
  const auto file = Contract::read("distilbert_body");
  const auto model = std::dynamic_pointer_cast<EncoderModelImpl>(file.model());
  EXPECT_THROW(model->new_cache(), UnsupportedError);
  GrowingCache cache(2);
  EXPECT_THROW(model->forward({.input_ids = file["ids"], .cache = &cache}), UnsupportedError);
  EXPECT_THROW(model->forward({.input_ids = file["ids"], .token_type_ids = file["ids"]}),
               UnsupportedError);
  EXPECT_THROW(model->forward({.input_ids = at::full({1, 17}, 5)}), ConfigError);
}

}  // namespace
}  // namespace peft
