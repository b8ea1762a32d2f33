#include "peft/tokenizers/pipeline.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft::tokenizers {
namespace {

using Ids = std::vector<int64_t>;

/// Letters a and b, "ab", and "<s>" in front of every text.
std::shared_ptr<Tokenizer> letters() {
  return Tokenizer::from_json(R"({
    "added_tokens": [{"id": 3, "content": "<s>", "special": true},
                     {"id": 4, "content": "<pad>", "special": true}],
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}},
    "decoder": {"type": "Fuse"}
  })",
                              "tokenizer.json");
}

TEST(Pipeline, BatchesArePaddedToTheMaximumLengthOrNotAtAll) {
  const auto tokenizer = letters();
  tokenizer->pad_id = 4;
  const auto padded =
      tokenizer->encode_batch({"ab", "aaaaaa"}, {.padding = Padding::kMaxLength, .max_length = 4});
  EXPECT_EQ(padded[0].ids, (Ids{3, 2, 4, 4}));
  EXPECT_EQ(padded[0].attention_mask, (Ids{1, 1, 0, 0}));
  EXPECT_EQ(padded[0].special_tokens_mask, (Ids{1, 0, 1, 1}));
  EXPECT_EQ(padded[0].offsets.size(), 4u);
  EXPECT_EQ(padded[1].ids, (Ids{3, 0, 0, 0})) << "the special token is kept, the text is cut";
  const auto ragged = tokenizer->encode_batch({"ab", "ba"}, {.padding = Padding::kNone});
  EXPECT_EQ(ragged[0].ids, (Ids{3, 2}));
  EXPECT_EQ(ragged[1].ids, (Ids{3, 1, 0}));
  EXPECT_THROW(tokenizer->encode_batch({"ab"}, {.padding = Padding::kMaxLength}), ConfigError);
  EXPECT_TRUE(tokenizer->encode_batch({}).empty());
}

TEST(Pipeline, SpecialTokensAreAddedShownAndSkippedWhenAsked) {
  const auto tokenizer = letters();
  EXPECT_EQ(tokenizer->encode("ab").ids, (Ids{3, 2}));
  EXPECT_EQ(tokenizer->encode("ab", {.add_special_tokens = false}).ids, (Ids{2}));
  EXPECT_EQ(tokenizer->encode("a<s>b", {.add_special_tokens = false}).ids, (Ids{0, 3, 1}));
  EXPECT_EQ(tokenizer->decode({3, 2}), "ab");
  EXPECT_EQ(tokenizer->decode({3, 2}, false), "<s>ab");
}

TEST(Pipeline, OffsetsAreBytesOfTheInputAndSpecialTokensHaveNone) {
  const Encoding encoding = letters()->encode("aab");
  using Offsets = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(encoding.offsets, (Offsets{{0, 0}, {0, 1}, {1, 3}}));
}

TEST(Pipeline, RolesComeFromStringsAndObjectsOfTheConfig) {
  const auto tokenizer = letters();
  tokenizer->apply_config({{"bos_token", "<s>"},
                           {"pad_token", {{"content", "<pad>"}, {"lstrip", false}}},
                           {"eos_token", nullptr},
                           {"unk_token", "<not there>"}});
  EXPECT_EQ(tokenizer->bos_id, 3);
  EXPECT_EQ(tokenizer->pad_id, 4);
  EXPECT_EQ(tokenizer->eos_id, std::nullopt);
  EXPECT_EQ(tokenizer->unk_id, std::nullopt);
  tokenizer->apply_config(nullptr);
  EXPECT_EQ(tokenizer->bos_id, 3);
  EXPECT_THROW(tokenizer->apply_config(Json::array()), FormatError);
  EXPECT_THROW(tokenizer->apply_config({{"bos_token", 7}}), FormatError);
}

TEST(Pipeline, TheVocabularyCountsAddedTokensOnce) {
  const auto tokenizer = letters();
  EXPECT_EQ(tokenizer->vocab_size(), 5u);
  EXPECT_EQ(tokenizer->vocab_size(false), 3u);
  EXPECT_EQ(tokenizer->token_to_id("ab"), 2);
  EXPECT_EQ(tokenizer->token_to_id("<pad>"), 4);
  EXPECT_EQ(tokenizer->token_to_id("abc"), std::nullopt);
  EXPECT_EQ(tokenizer->id_to_token(3), "<s>");
}

}  // namespace
}  // namespace peft::tokenizers
