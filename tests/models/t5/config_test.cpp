#include "peft/models/t5/config.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/models/registry.h"

namespace peft {
namespace {

using t5::T5Config;

Json t5_config(const Json& changes) {
  Json config{{"model_type", "t5"}};
  config.update(changes);
  return config;
}

TEST(T5Config, AbsentKeysHavePythonsDefaults) {
  const auto c = T5Config::from_json(t5_config(Json::object()));
  EXPECT_EQ(c.vocab_size, 32128);
  EXPECT_EQ(c.d_ff, 2048);
  EXPECT_EQ(c.num_decoder_layers, 6);
  EXPECT_FALSE(c.gated);
  EXPECT_TRUE(c.scale_decoder_outputs);
  EXPECT_EQ(c.pad_token_id, 0);
  EXPECT_FALSE(c.decoder_start_token_id);
  const auto m = T5Config::from_json({{"model_type", "mt5"}});
  EXPECT_EQ(m.vocab_size, 250112);
  EXPECT_EQ(m.num_heads, 6);
  EXPECT_TRUE(m.gated);
  EXPECT_FALSE(m.scale_decoder_outputs);
  EXPECT_EQ(m.decoder_start_token_id, 0);
}

TEST(T5Config, ADecoderIsAsDeepAsTheEncoderUnlessItSaysOtherwise) {
  EXPECT_EQ(T5Config::from_json(t5_config({{"num_layers", 3}})).num_decoder_layers, 3);
  const auto c = T5Config::from_json(t5_config({{"num_layers", 3}, {"num_decoder_layers", 1}}));
  EXPECT_EQ(c.num_decoder_layers, 1);
}

TEST(T5Config, AHeadOfItsOwnIsNotScaledFor) {
  const auto c = T5Config::from_json(t5_config({{"tie_word_embeddings", false}}));
  EXPECT_FALSE(c.scale_decoder_outputs);
  EXPECT_TRUE(c.own_head);
  const auto saved = T5Config::from_json(
      t5_config({{"tie_word_embeddings", true}, {"scale_decoder_outputs", false}}));
  EXPECT_FALSE(saved.scale_decoder_outputs);
  EXPECT_FALSE(saved.own_head);
}

TEST(T5Config, FeedForwardNamesAnActivationAndWhetherItGates) {
  EXPECT_TRUE(T5Config::from_json(t5_config({{"feed_forward_proj", "gated-silu"}})).gated);
  EXPECT_FALSE(T5Config::from_json(t5_config({{"feed_forward_proj", "gelu"}})).gated);
  for (const char* word : {"gated-", "gated-relu-gelu", "half-relu", "sine"}) {
    EXPECT_THROW(T5Config::from_json(t5_config({{"feed_forward_proj", word}})), Error) << word;
  }
}

TEST(T5Config, RefusesWhatIsOutOfRange) {
  for (const Json& wrong :
       {Json{{"d_model", 0}}, Json{{"d_kv", -1}}, Json{{"num_layers", 2.5}},
        Json{{"vocab_size", int64_t{1} << 40}},
        Json{{"vocab_size", 2147483647}, {"d_model", 99999}}, Json{{"dropout_rate", 2.0}},
        Json{{"pad_token_id", -1}}, Json{{"feed_forward_proj", 3}},
        Json{{"relative_attention_num_buckets", 3}},
        Json{{"relative_attention_num_buckets", 32}, {"relative_attention_max_distance", 16}}}) {
    EXPECT_THROW(T5Config::from_json(t5_config(wrong)), ConfigError) << wrong.dump();
  }
}

TEST(T5Config, OtherTasksHaveNoModel) {
  EXPECT_THROW(make_model(t5_config(Json::object()), ModelTask::kCausalLM), UnsupportedError);
}

}  // namespace
}  // namespace peft
