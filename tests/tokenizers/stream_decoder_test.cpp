#include <gtest/gtest.h>

#include "peft/tokenizers/tokenizer.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

std::shared_ptr<Tokenizer> golden_tokenizer(const std::string& name) {
  return Tokenizer::from_file(std::string(PEFT_SOURCE_DIR) + "/tests/tokenizers/golden/" + name +
                              ".json");
}

TEST(StreamDecoder, NeverGivesOutHalfACharacter) {
  const auto tokenizer = golden_tokenizer("gpt2");
  const std::string text = "a👩‍👩‍👧‍👦 中文 नमस्ते 🏳️‍🌈.";
  StreamDecoder stream(tokenizer);
  std::string all;
  for (const int64_t id : tokenizer->encode(text).ids) {
    const std::string piece = stream.push(id);
    EXPECT_EQ(piece.find("\uFFFD"), std::string::npos);
    EXPECT_EQ(valid_utf8_prefix(piece), piece.size());
    all += piece;
  }
  EXPECT_EQ(all, text);
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDecoder, GivesOutTextAsSoonAsItIsWhole) {
  const auto tokenizer = golden_tokenizer("gpt2");
  StreamDecoder stream(tokenizer);
  for (const char letter : std::string("xyz")) {
    EXPECT_EQ(stream.push(*tokenizer->token_to_id(std::string(1, letter))), std::string(1, letter));
  }
}

TEST(StreamDecoder, KeepsTheBlanksBetweenWords) {
  const auto tokenizer = golden_tokenizer("llama2");
  const std::string text = "the time  is 12:45";
  StreamDecoder stream(tokenizer);
  std::string all;
  for (const int64_t id : tokenizer->encode(text).ids) all += stream.push(id);
  EXPECT_EQ(all + stream.finish(), text);
}

TEST(StreamDecoder, WhatNeverBecomesWholeComesAtTheEndAsReplacement) {
  const auto tokenizer = golden_tokenizer("llama2");
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(*tokenizer->token_to_id("<0xE4>")), "");
  EXPECT_EQ(stream.push(*tokenizer->token_to_id("<0xB8>")), "");
  EXPECT_EQ(stream.finish(), "\uFFFD\uFFFD");
}

TEST(StreamDecoder, ManyBrokenBytesAreNotHeldBackForEver) {
  const auto tokenizer = golden_tokenizer("llama2");
  StreamDecoder stream(tokenizer);
  std::string all;
  for (int i = 0; i < 100; ++i) all += stream.push(*tokenizer->token_to_id("<0xFF>"));
  EXPECT_FALSE(all.empty());
}

TEST(StreamDecoder, SpecialTokensAreSkippedOrShown) {
  const auto tokenizer = golden_tokenizer("gpt2");
  const int64_t end = *tokenizer->token_to_id("<|endoftext|>");
  EXPECT_EQ(StreamDecoder(tokenizer).push(end), "");
  EXPECT_EQ(StreamDecoder(tokenizer, false).push(end), "<|endoftext|>");
}

}  // namespace
}  // namespace peft::tokenizers
