#include "peft/formats/gguf_names.h"

#include <gtest/gtest.h>

#include <span>

#include "tests/formats/gguf_bytes.h"

namespace peft::formats {
namespace {

TEST(GgufNames, NamesOfTransformers) {
  EXPECT_EQ(transformers_name("token_embd.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(transformers_name("output.weight"), "lm_head.weight");
  EXPECT_EQ(transformers_name("blk.12.attn_q.bias"), "model.layers.12.self_attn.q_proj.bias");
  EXPECT_EQ(transformers_name("blk.0.attn_k_norm.weight"),
            "model.layers.0.self_attn.k_norm.weight");
  EXPECT_EQ(transformers_name("blk.0.ffn_norm.weight"),
            "model.layers.0.post_attention_layernorm.weight");
}

TEST(GgufNames, ANameThatStandsForNothingStaysAsItIs) {
  for (const char* name :
       {"", "blk.", "blk.0.weight", "blk.0.ssm_a", "weight", "blk.0.foo.weight"}) {
    EXPECT_EQ(transformers_name(name), name);
  }
}

TEST(GgufNames, RotaryFactorsAreNoWeights) {
  EXPECT_TRUE(is_auxiliary("rope_freqs.weight"));
  EXPECT_FALSE(is_auxiliary("output.weight"));
}

/// One whole number and one text of the metadata.
GgufBytes& number(GgufBytes& bytes, const std::string& key, uint32_t value) {
  return bytes.string(key).number<uint32_t>(4).number(value);
}
GgufBytes& text(GgufBytes& bytes, const std::string& key, const std::string& value) {
  return bytes.string(key).number<uint32_t>(8).string(value);
}

Json config_of(const GgufBytes& bytes) {
  return config_from_gguf(GgufHeader::parse(std::as_bytes(std::span(bytes.text())), "model.gguf"));
}

TEST(GgufNames, Qwen3HasTheWidthOfItsHeadsAndItsWindow) {
  GgufBytes bytes;
  bytes.start(0, 7);
  text(bytes, "general.architecture", "qwen3");
  number(bytes, "qwen3.embedding_length", 1024);
  number(bytes, "qwen3.attention.head_count", 16);
  number(bytes, "qwen3.attention.head_count_kv", 8);
  number(bytes, "qwen3.attention.key_length", 128);
  number(bytes, "qwen3.attention.sliding_window", 4096);
  number(bytes, "tokenizer.ggml.eos_token_id", 5);
  const Json expected = {{"architectures", {"Qwen3ForCausalLM"}},
                         {"model_type", "qwen3"},
                         {"hidden_size", 1024},
                         {"num_attention_heads", 16},
                         {"num_key_value_heads", 8},
                         {"head_dim", 128},
                         {"sliding_window", 4096},
                         {"eos_token_id", 5},
                         {"tie_word_embeddings", true}};
  EXPECT_EQ(config_of(bytes), expected) << config_of(bytes).dump();
}

TEST(GgufNames, YarnHasItsOriginalLength) {
  GgufBytes bytes;
  bytes.start(0, 4);
  text(bytes, "general.architecture", "qwen2");
  text(bytes, "qwen2.rope.scaling.type", "yarn");
  bytes.string("qwen2.rope.scaling.factor").number<uint32_t>(6).number(4.0F);
  number(bytes, "qwen2.rope.scaling.original_context_length", 32768);
  const Json expected = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}};
  EXPECT_EQ(config_of(bytes)["rope_scaling"], expected);
}

TEST(GgufNames, AMistralIsToldByItsName) {
  GgufBytes bytes;
  bytes.start(0, 3);
  text(bytes, "general.architecture", "llama");
  text(bytes, "general.name", "mistral");
  number(bytes, "llama.rope.dimension_count", 64);
  EXPECT_EQ(config_of(bytes)["model_type"], "mistral");
  EXPECT_EQ(config_of(bytes)["head_dim"], 64);
}

TEST(GgufNames, TheEndOfATurnIsASecondWayToStop) {
  GgufBytes bytes;
  bytes.start(0, 2);
  number(bytes, "tokenizer.ggml.eos_token_id", 5);
  number(bytes, "tokenizer.ggml.eot_token_id", 7);
  const auto header = GgufHeader::parse(std::as_bytes(std::span(bytes.text())), "model.gguf");
  EXPECT_EQ(generation_config_from_gguf(header)["eos_token_id"], Json::array({5, 7}));
}

}  // namespace
}  // namespace peft::formats
