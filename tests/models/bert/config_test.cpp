#include "peft/models/bert/config.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft::bert {
namespace {

BertConfig bert_config(Json options) {
  options.emplace("model_type", "bert");
  return BertConfig::from_json(options);
}

TEST(BertConfig, AnEmptyConfigGivesTransformersDefaults) {
  const auto bert = bert_config(Json::object());
  EXPECT_EQ(bert.vocab_size, 30522);
  EXPECT_EQ(bert.num_hidden_layers, 12);
  EXPECT_EQ(bert.pad_token_id, 0);
  EXPECT_EQ(bert.layer_norm_eps, 1e-12);
  EXPECT_FALSE(bert.is_roberta);
  const auto roberta = bert_config({{"model_type", "roberta"}});
  EXPECT_EQ(roberta.vocab_size, 50265);
  EXPECT_EQ(roberta.pad_token_id, 1);
  EXPECT_TRUE(roberta.is_roberta);
  EXPECT_EQ(bert_config({{"model_type", "camembert"}}).vocab_size, 30522);
}

TEST(BertConfig, TheClassifiersDropoutIsTheHiddenOneUnlessGiven) {
  EXPECT_EQ(bert_config({{"hidden_dropout_prob", 0.3}}).classifier_dropout, 0.3);
  EXPECT_EQ(
      bert_config({{"hidden_dropout_prob", 0.3}, {"classifier_dropout", 0}}).classifier_dropout, 0);
  EXPECT_EQ(bert_config({{"classifier_dropout", nullptr}}).classifier_dropout, 0.1);
}

TEST(BertConfig, WhatTheModelHasNotIsRefused) {
  EXPECT_THROW(bert_config({{"position_embedding_type", "relative_key"}}), UnsupportedError);
  EXPECT_NO_THROW(bert_config({{"position_embedding_type", "absolute"}}));
  EXPECT_THROW(bert_config({{"is_decoder", true}}), UnsupportedError);
  EXPECT_THROW(bert_config({{"add_cross_attention", true}}), UnsupportedError);
  EXPECT_THROW(bert_config({{"hidden_act", "prelu"}}), UnsupportedError);
}

TEST(BertConfig, WrongSizesAreRefused) {
  EXPECT_THROW(bert_config({{"hidden_size", 10}, {"num_attention_heads", 4}}), ConfigError);
  EXPECT_THROW(bert_config({{"vocab_size", -1}}), ConfigError);
  EXPECT_THROW(bert_config({{"hidden_size", 0x40000000}, {"num_attention_heads", 1}}), ConfigError);
  EXPECT_THROW(bert_config({{"attention_probs_dropout_prob", 2}}), ConfigError);
  EXPECT_THROW(bert_config({{"model_type", "roberta"}, {"pad_token_id", nullptr}}), ConfigError);
}

}  // namespace
}  // namespace peft::bert
