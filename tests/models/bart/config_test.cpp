#include "peft/models/bart/config.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft {
namespace {

using bart::BartConfig;

TEST(BartConfig, AbsentKeysHavePythonsDefaults) {
  const auto c = BartConfig::from_json({{"model_type", "bart"}});
  EXPECT_EQ(c.d_model, 1024);
  EXPECT_EQ(c.encoder.layers, 12);
  EXPECT_EQ(c.decoder.inner, 4096);
  EXPECT_EQ(c.num_labels, 3);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_FALSE(c.scale_embedding);
  EXPECT_EQ(c.pad_token_id, 1);
  EXPECT_EQ(c.decoder_start_token_id, 2);
}

TEST(BartConfig, TheTwoSidesHaveSizesOfTheirOwn) {
  const auto c = BartConfig::from_json({{"model_type", "bart"},
                                        {"encoder_layers", 1},
                                        {"decoder_layers", 3},
                                        {"decoder_attention_heads", 8},
                                        {"encoder_layerdrop", 0.1}});
  EXPECT_EQ(c.encoder.layers, 1);
  EXPECT_EQ(c.decoder.layers, 3);
  EXPECT_EQ(c.decoder.heads, 8);
  EXPECT_EQ(c.encoder.layerdrop, 0.1);
}

TEST(BartConfig, RefusesWhatIsOutOfRange) {
  for (const Json& wrong :
       {Json{{"d_model", 0}}, Json{{"encoder_attention_heads", 7}}, Json{{"dropout", -0.1}},
        Json{{"max_position_embeddings", "many"}}, Json{{"vocab_size", 50}, {"pad_token_id", 50}},
        Json{{"activation_function", "sine"}}, Json{{"id2label", Json::array()}}}) {
    Json config{{"model_type", "bart"}};
    config.update(wrong);
    EXPECT_THROW(BartConfig::from_json(config), Error) << wrong.dump();
  }
}

}  // namespace
}  // namespace peft
