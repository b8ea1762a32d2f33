#include "peft/formats/gguf_names.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace peft::formats
