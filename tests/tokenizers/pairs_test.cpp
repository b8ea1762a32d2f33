#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/tokenizers/tokenizer.h"

// Two texts that are encoded together: order, ranges, cutting, padding. What Python makes of them
// is in golden_encoders_test.cpp.
namespace peft::tokenizers {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

/// Letters by themselves, between [CLS] and [SEP].
std::shared_ptr<Tokenizer> bert() {
  return Tokenizer::from_json(R"({
    "added_tokens": [{"id": 7, "content": "[MASK]", "special": true}],
    "pre_tokenizer": {"type": "FixedLength", "length": 1},
    "model": {"type": "WordPiece", "unk_token": "[UNK]",
              "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "c": 6}},
    "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]}
  })",
                              "tokenizer.json");
}

TEST(Pairs, EachTextHasItsRangeAndItsOwnOffsets) {
  const Encoding encoding = bert()->encode_pair("ab", "c[MASK]");
  EXPECT_THAT(encoding.ids, ElementsAre(2, 4, 5, 3, 6, 7, 3));
  EXPECT_THAT(encoding.type_ids, ElementsAre(0, 0, 0, 0, 1, 1, 1));
  EXPECT_THAT(encoding.special_tokens_mask, ElementsAre(1, 0, 0, 1, 0, 0, 1));
  EXPECT_THAT(encoding.text_ranges, ElementsAre(Pair(1, 3), Pair(4, 6)));
  EXPECT_EQ(encoding.offsets[4], std::pair(size_t{0}, size_t{1}));
  EXPECT_EQ(encoding.offsets[5], std::pair(size_t{1}, size_t{7}));
}

TEST(Pairs, OneTextHasOneRange) {
  EXPECT_THAT(bert()->encode("ab").text_ranges, ElementsAre(Pair(1, 3), Pair(0, 0)));
  EXPECT_THAT(bert()->encode("ab", {.add_special_tokens = false}).text_ranges,
              ElementsAre(Pair(0, 2), Pair(0, 0)));
}

TEST(Pairs, WithoutSpecialTokensTheTextsStandSideBySide) {
  const Encoding encoding = bert()->encode_pair("ab", "c", {.add_special_tokens = false});
  EXPECT_THAT(encoding.ids, ElementsAre(4, 5, 6));
  EXPECT_THAT(encoding.type_ids, ElementsAre(0, 0, 1));
  EXPECT_THAT(encoding.text_ranges, ElementsAre(Pair(0, 2), Pair(2, 3)));
}

TEST(Pairs, AreCutByTheStrategy) {
  const auto ids = [](size_t length, TruncationStrategy strategy) {
    return bert()->encode_pair("aaaa", "bb", {.max_length = length, .truncation = strategy}).ids;
  };
  EXPECT_THAT(ids(7, TruncationStrategy::kLongestFirst), ElementsAre(2, 4, 4, 3, 5, 5, 3));
  EXPECT_THAT(ids(6, TruncationStrategy::kLongestFirst), ElementsAre(2, 4, 4, 3, 5, 3));
  EXPECT_THAT(ids(8, TruncationStrategy::kOnlyFirst), ElementsAre(2, 4, 4, 4, 3, 5, 5, 3));
  EXPECT_THAT(ids(8, TruncationStrategy::kOnlySecond), ElementsAre(2, 4, 4, 4, 4, 3, 5, 3));
  EXPECT_THAT(ids(3, TruncationStrategy::kLongestFirst), ElementsAre(2, 3, 3));
}

TEST(Pairs, ATextThatWouldBeCutToNothingIsAConfigError) {
  try {
    bert()->encode_pair("aaaa", "bb",
                        {.max_length = 7, .truncation = TruncationStrategy::kOnlySecond});
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("text 2 cannot be cut to fit"));
  }
  EXPECT_THROW(
      bert()->encode("aaaa", {.max_length = 4, .truncation = TruncationStrategy::kOnlySecond}),
      ConfigError);
}

TEST(Pairs, BatchesOfPairsArePadded) {
  const auto rows =
      bert()->encode_pair_batch({{"a", "b"}, {"ab", "c"}}, {.padding_side = Side::kLeft});
  EXPECT_THAT(rows[0].ids, ElementsAre(0, 2, 4, 3, 5, 3));
  EXPECT_THAT(rows[0].attention_mask, ElementsAre(0, 1, 1, 1, 1, 1));
  EXPECT_THAT(rows[0].text_ranges, ElementsAre(Pair(2, 3), Pair(4, 5)));
  EXPECT_THAT(rows[1].text_ranges, ElementsAre(Pair(1, 3), Pair(4, 5)));
}

TEST(Pairs, TheFileMayNameTheStrategy) {
  const auto tokenizer = Tokenizer::from_json(R"({
    "truncation": {"direction": "Left", "max_length": 3, "strategy": "OnlyFirst", "stride": 0},
    "pre_tokenizer": {"type": "FixedLength", "length": 1},
    "model": {"type": "WordPiece", "vocab": {"a": 0, "b": 1, "c": 2}}
  })",
                                              "tokenizer.json");
  EXPECT_THAT(tokenizer->encode_pair("abc", "ab").ids, ElementsAre(2, 0, 1));
}

TEST(Pairs, RolesOfEncodersAreKnown) {
  const auto tokenizer = bert();
  tokenizer->apply_config({{"cls_token", "[CLS]"},
                           {"sep_token", "[SEP]"},
                           {"mask_token", {{"content", "[MASK]"}}},
                           {"pad_token", "[PAD]"}});
  EXPECT_EQ(tokenizer->cls_id, 2);
  EXPECT_EQ(tokenizer->sep_id, 3);
  EXPECT_EQ(tokenizer->mask_id, 7);
  EXPECT_EQ(tokenizer->pad_id, 0);
}

TEST(Pairs, WindowsKnowWhereTheyBegin) {
  const auto windows = bert()->encode_pair_windows("a", "abcabca", 7, 1);  // three of the second
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_THAT(windows[0].encoding.ids, ElementsAre(2, 4, 3, 4, 5, 6, 3));
  EXPECT_THAT(windows[1].encoding.ids, ElementsAre(2, 4, 3, 6, 4, 5, 3));
  EXPECT_THAT(windows[2].encoding.ids, ElementsAre(2, 4, 3, 5, 6, 4, 3));
  EXPECT_EQ(windows[2].first_token, 4u);
  EXPECT_EQ(windows[2].encoding.offsets[3], std::pair(size_t{4}, size_t{5}));
  EXPECT_THAT(windows[2].encoding.text_ranges, ElementsAre(Pair(1, 2), Pair(3, 6)));
  EXPECT_EQ(bert()->encode_pair_windows("a", "abc", 7, 5).size(), 1u);  // nothing overlaps
}

TEST(Pairs, WindowsWithoutRoomAreRefused) {
  const auto refusal = [](const std::string& first, size_t stride) -> std::string {
    try {
      bert()->encode_pair_windows(first, "abcabca", 7, stride);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal("a", 3), HasSubstr("expected less than 3"));
  EXPECT_THAT(refusal("abcabc", 0), HasSubstr("expected less than 0"));
}

}  // namespace
}  // namespace peft::tokenizers
