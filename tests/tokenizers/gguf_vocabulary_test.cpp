#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/tokenizers/tokenizer.h"

namespace peft::tokenizers {
namespace {

using Ids = std::vector<int64_t>;
using testing::HasSubstr;

/// A GPT-2 vocabulary: a few letters and words, "<|end|>" as control token.
Json gpt2(const std::string& pre) {
  return {{"tokenizer.ggml.model", "gpt2"},
          {"tokenizer.ggml.pre", pre},
          {"tokenizer.ggml.tokens", {"<|end|>", "a", "b", "ab", "Ġ", "Ġab", "1", "2", "12", "Ġ1"}},
          {"tokenizer.ggml.token_type", {3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
          {"tokenizer.ggml.merges", {"a b", "Ġ ab", "1 2", "Ġ 1"}},
          {"tokenizer.ggml.bos_token_id", 0},
          {"tokenizer.ggml.eos_token_id", 0}};
}

Ids encode(const Json& metadata, const std::string& text, bool special = false) {
  return Tokenizer::from_gguf_metadata(metadata, "m.gguf")
      ->encode(text, {.add_special_tokens = special})
      .ids;
}

TEST(GgufVocabulary, ThePreTokenizerDecidesHowDigitsAreCut) {
  EXPECT_EQ(encode(gpt2("gpt-2"), "ab ab12 12"), (Ids{3, 5, 8, 4, 8}));
  EXPECT_EQ(encode(gpt2("smollm"), "ab ab12 12"), (Ids{3, 5, 6, 7, 4, 6, 7}));
  EXPECT_EQ(encode(gpt2("qwen2"), "ab12"), (Ids{3, 6, 7}));
  EXPECT_EQ(encode(gpt2("llama-bpe"), "ab12"), (Ids{3, 8}));
}

TEST(GgufVocabulary, EveryKnownPreTokenizerEncodes) {
  for (const char* pre : {"default",
                          "gpt-2",
                          "smollm",
                          "starcoder",
                          "llama3",
                          "llama-v3",
                          "llama-bpe",
                          "dbrx",
                          "qwen2",
                          "qwen35",
                          "deepseek-r1-qwen",
                          "tekken",
                          "gpt-4o",
                          "deepseek-llm",
                          "deepseek-coder",
                          "deepseek-v3",
                          "falcon",
                          "olmo",
                          "mpt",
                          "command-r",
                          "refact"}) {
    SCOPED_TRACE(pre);
    const auto tokenizer = Tokenizer::from_gguf_metadata(gpt2(pre), "m.gguf");
    const Encoding encoding = tokenizer->encode("ab ab<|end|>", {.add_special_tokens = false});
    EXPECT_EQ(encoding.ids, (Ids{3, 5, 0}));
    EXPECT_EQ(tokenizer->decode(encoding.ids), "ab ab");
    EXPECT_EQ(tokenizer->decode(encoding.ids, false), "ab ab<|end|>");
  }
}

TEST(GgufVocabulary, TheFileSaysWhetherTextsBeginWithBos) {
  EXPECT_EQ(encode(gpt2("smollm"), "ab", true), (Ids{3}));
  EXPECT_EQ(encode(gpt2("llama-bpe"), "ab", true), (Ids{0, 3}));
  Json metadata = gpt2("llama-bpe");
  metadata["tokenizer.ggml.add_bos_token"] = false;
  metadata["tokenizer.ggml.add_eos_token"] = true;
  EXPECT_EQ(encode(metadata, "ab", true), (Ids{3, 0}));
}

TEST(GgufVocabulary, RolesOfTokensAreRead) {
  Json metadata = gpt2("smollm");
  metadata["tokenizer.ggml.padding_token_id"] = 4;
  metadata["tokenizer.ggml.unknown_token_id"] = 4294967295u;
  const auto tokenizer = Tokenizer::from_gguf_metadata(metadata, "m.gguf");
  EXPECT_EQ(tokenizer->bos_id, 0);
  EXPECT_EQ(tokenizer->pad_id, 4);
  EXPECT_EQ(tokenizer->unk_id, std::nullopt);
  EXPECT_TRUE(tokenizer->is_special(0));
  EXPECT_FALSE(tokenizer->is_special(1));
  EXPECT_EQ(tokenizer->vocab_size(), 10u);
}

/// A SentencePiece vocabulary. "▁ab" can only be reached by "▁" + "ab", as "▁a" scores lower.
Json llama() {
  Json tokens = {"<unk>", "<s>", "</s>"}, types = {2, 3, 3}, scores = {0, 0, 0};
  for (int byte = 0; byte < 256; ++byte) {
    const char* digits = "0123456789ABCDEF";
    tokens.push_back(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">");
    types.push_back(6);
    scores.push_back(0);
  }
  const std::pair<const char*, double> pieces[] = {{"▁", -9},   {"a", -8},  {"b", -7}, {"ab", -1},
                                                   {"▁ab", -2}, {"▁a", -3}, {"▁▁", -4}};
  for (const auto& [piece, score] : pieces) {
    tokens.push_back(piece);
    types.push_back(1);
    scores.push_back(score);
  }
  return {{"tokenizer.ggml.model", "llama"},    {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.token_type", types}, {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.bos_token_id", 1},   {"tokenizer.ggml.eos_token_id", 2}};
}

TEST(GgufVocabulary, SentencePieceMergesByScoreAndFallsBackToBytes) {
  constexpr int64_t kMark = 259, kWord = 263, kLetter = 264, kTwoMarks = 265;
  EXPECT_EQ(encode(llama(), "ab"), (Ids{kWord}));
  EXPECT_EQ(encode(llama(), "ab ab", true), (Ids{1, kWord, kWord}));
  EXPECT_EQ(encode(llama(), "a  a"), (Ids{kLetter, kMark, kLetter}));
  EXPECT_EQ(encode(llama(), " \n"), (Ids{kTwoMarks, 3 + 10}));
  EXPECT_EQ(encode(llama(), "é"), (Ids{kMark, 3 + 0xC3, 3 + 0xA9}));
  const auto tokenizer = Tokenizer::from_gguf_metadata(llama(), "m.gguf");
  for (const char* text : {"ab ab", "  a\n", "é😀", "", "a</s>b"}) {
    const Ids ids = tokenizer->encode(text).ids;
    if (std::string(text) != "a</s>b") {
      EXPECT_EQ(tokenizer->decode(ids), text);
    }
  }
}

TEST(GgufVocabulary, TheFileSaysWhetherABlankIsPutInFront) {
  Json metadata = llama();
  metadata["tokenizer.ggml.add_space_prefix"] = false;
  EXPECT_EQ(encode(metadata, "ab ab"), (Ids{262, 263}));
  const auto tokenizer = Tokenizer::from_gguf_metadata(metadata, "m.gguf");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(" ab").ids), " ab");
}

void expect_format_error(Json metadata, const std::string& key, const Json& value) {
  metadata[key] = value;
  try {
    Tokenizer::from_gguf_metadata(metadata, "m.gguf");
    FAIL() << key;
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr(key));
    EXPECT_THAT(error.what(), HasSubstr("m.gguf"));
  }
}

TEST(GgufVocabulary, DamagedMetadataIsAFormatError) {
  expect_format_error(gpt2("gpt-2"), "tokenizer.ggml.tokens", {1, 2});
  expect_format_error(gpt2("gpt-2"), "tokenizer.ggml.tokens", "abc");
  expect_format_error(gpt2("gpt-2"), "tokenizer.ggml.token_type", {1});
  expect_format_error(gpt2("gpt-2"), "tokenizer.ggml.merges", {"ab"});
  expect_format_error(gpt2("gpt-2"), "tokenizer.ggml.merges", {"a x"});
  expect_format_error(gpt2("gpt-2"), "tokenizer.ggml.bos_token_id", 10);
  expect_format_error(gpt2("gpt-2"), "tokenizer.ggml.bos_token_id", -2);
  expect_format_error(llama(), "tokenizer.ggml.scores", {0.5});
  Json no_scores = llama();
  no_scores.erase("tokenizer.ggml.scores");
  EXPECT_THROW(Tokenizer::from_gguf_metadata(no_scores, "m.gguf"), FormatError);
}

TEST(GgufVocabulary, UnknownKindsAreUnsupported) {
  Json metadata = gpt2("gpt-2");
  metadata["tokenizer.ggml.model"] = "t5";
  EXPECT_THROW(Tokenizer::from_gguf_metadata(metadata, "m.gguf"), UnsupportedError);
  EXPECT_THROW(Tokenizer::from_gguf_metadata(gpt2("magic"), "m.gguf"), UnsupportedError);
}

}  // namespace
}  // namespace peft::tokenizers
