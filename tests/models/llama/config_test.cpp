#include "peft/models/llama/config.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft::llama {
namespace {

Json config(const std::string& model_type, const Json& more = Json::object()) {
  Json json = {{"model_type", model_type}, {"num_hidden_layers", 4}};
  json.update(more);
  return json;
}

TEST(LlamaConfig, SilenceMeansTransformersDefaults) {
  const auto llama = LlamaConfig::from_json(config("llama"));
  EXPECT_EQ(llama.num_key_value_heads, 32);
  EXPECT_EQ(llama.head_dim, 128);
  EXPECT_EQ(llama.max_position_embeddings, 2048);
  EXPECT_FALSE(llama.tie_word_embeddings);
  const auto mistral = LlamaConfig::from_json(config("mistral"));
  EXPECT_EQ(mistral.num_key_value_heads, 8);
  EXPECT_EQ(mistral.windows, std::vector<int64_t>(4, 4096));
  const auto qwen3 = LlamaConfig::from_json(config("qwen3", {{"hidden_size", 64}}));
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_TRUE(qwen3.qk_norm);
}

TEST(LlamaConfig, NullMeansDerivedFromTheOthers) {
  const auto c = LlamaConfig::from_json(config(
      "mistral",
      {{"head_dim", nullptr}, {"num_key_value_heads", nullptr}, {"sliding_window", nullptr}}));
  EXPECT_EQ(c.head_dim, 128);
  EXPECT_EQ(c.num_key_value_heads, 32);
  EXPECT_EQ(c.windows, std::vector<int64_t>(4, 0));
}

TEST(LlamaConfig, Qwen2WindowsBeginAfterMaxWindowLayers) {
  const Json on = {{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 3}};
  EXPECT_EQ(LlamaConfig::from_json(config("qwen2", on)).windows,
            (std::vector<int64_t>{0, 0, 0, 8}));
  Json off = on;
  off["use_sliding_window"] = false;
  EXPECT_EQ(LlamaConfig::from_json(config("qwen2", off)).windows, std::vector<int64_t>(4, 0));
  Json all = on;
  all["max_window_layers"] = 0;
  EXPECT_EQ(LlamaConfig::from_json(config("qwen2", all)).windows, std::vector<int64_t>(4, 8));
}

TEST(LlamaConfig, BiasesFollowTheModelType) {
  const Json both = {{"attention_bias", true}, {"mlp_bias", true}};
  const auto llama = LlamaConfig::from_json(config("llama", both));
  EXPECT_TRUE(llama.qkv_bias && llama.output_bias && llama.mlp_bias);
  const auto qwen2 = LlamaConfig::from_json(config("qwen2"));
  EXPECT_TRUE(qwen2.qkv_bias && !qwen2.output_bias && !qwen2.mlp_bias);
  const auto mistral = LlamaConfig::from_json(config("mistral", both));
  EXPECT_FALSE(mistral.qkv_bias || mistral.output_bias || mistral.mlp_bias);
}

TEST(LlamaConfig, WrongValuesAreErrorsThatNameTheKey) {
  const std::vector<std::pair<std::string, Json>> wrong = {{"hidden_size", 0},
                                                           {"hidden_size", -5},
                                                           {"vocab_size", 1e30},
                                                           {"vocab_size", 18446744073709551615ULL},
                                                           {"num_hidden_layers", "32"},
                                                           {"rms_norm_eps", "small"},
                                                           {"tie_word_embeddings", 1},
                                                           {"num_key_value_heads", 5},
                                                           {"head_dim", 7},
                                                           {"num_hidden_layers", 2000000}};
  for (const auto& [key, value] : wrong) {
    EXPECT_THROW(LlamaConfig::from_json(config("llama", {{key, value}})), ConfigError)
        << key << " = " << value;
  }
}

TEST(LlamaConfig, LayerTypesMustFitTheLayersAndTheWindow) {
  const Json few = {{"layer_types", {"full_attention"}}};
  EXPECT_THROW(LlamaConfig::from_json(config("qwen2", few)), ConfigError);
  Json four = {
      {"layer_types", {"full_attention", "sliding_attention", "full_attention", "full_attention"}}};
  EXPECT_THROW(LlamaConfig::from_json(config("qwen2", four)), ConfigError);
  four["use_sliding_window"] = true;
  EXPECT_EQ(LlamaConfig::from_json(config("qwen2", four)).windows,
            (std::vector<int64_t>{0, 4096, 0, 0}));
}

TEST(LlamaConfig, AnUnknownActivationIsAnError) {
  EXPECT_THROW(LlamaConfig::from_json(config("llama", {{"hidden_act", "mish"}})), UnsupportedError);
}

}  // namespace
}  // namespace peft::llama
