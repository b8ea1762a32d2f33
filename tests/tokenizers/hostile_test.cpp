#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "peft/base/error.h"
#include "peft/base/json.h"
#include "peft/tokenizers/tokenizer.h"

// Files that are damaged or that were made to do harm.
namespace peft::tokenizers {
namespace {

using testing::HasSubstr;

/// A tokenizer.json that works, to be broken.
Json whole() {
  return Json::parse(R"({
    "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "aab": 3},
              "merges": ["a b", ["a", "ab"]]},
    "post_processor": null,
    "decoder": {"type": "Fuse"}
  })");
}

std::shared_ptr<Tokenizer> read(const Json& json) {
  return Tokenizer::from_json(json.dump(), "tokenizer.json");
}

template <typename Error>
void expect_error(const Json& json, const std::string& part) {
  try {
    read(json);
    FAIL() << "no error for " << json.dump();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(part));
    EXPECT_THAT(error.what(), HasSubstr("tokenizer.json"));
  }
}

/// One value of the file replaced.
Json with(const std::string& pointer, const std::string& value) {
  Json json = whole();
  json[Json::json_pointer(pointer)] = Json::parse(value);
  return json;
}

TEST(HostileTokenizer, TheWholeFileWorks) {
  const auto tokenizer = read(whole());
  EXPECT_EQ(tokenizer->encode("aab<s> ab").ids, (std::vector<int64_t>{3, 4, 2}));
}

TEST(HostileTokenizer, WrongIdsAreFormatErrors) {
  expect_error<FormatError>(with("/model/vocab/a", "-1"), "model.vocab");
  expect_error<FormatError>(with("/model/vocab/a", "1.5"), "model.vocab");
  expect_error<FormatError>(with("/model/vocab/a", "\"0\""), "model.vocab");
  expect_error<FormatError>(with("/model/vocab/a", "1"), "used twice");
  expect_error<FormatError>(with("/model/vocab/a", "2000000000"), "out of range");
  expect_error<FormatError>(with("/model/vocab/a", "99999999999999999999"), "model.vocab");
  expect_error<FormatError>(with("/added_tokens/0/id", "-4"), "added_tokens[0].id");
  expect_error<FormatError>(with("/added_tokens/0/id", "1e300"), "added_tokens[0].id");
}

TEST(HostileTokenizer, WrongMergesAreFormatErrors) {
  for (const char* merge : {R"("a")", R"("a b c")", R"(["a"])", R"(["a", 1])", R"(["a", "b", "c"])",
                            R"("a x")", R"("b a")", R"(["", "a"])", "7", "null"}) {
    expect_error<FormatError>(with("/model/merges/0", merge), "merge 0");
  }
  expect_error<FormatError>(with("/model/merges", "{}"), "model.merges");
  Json json = whole();
  json["model"].erase("merges");
  json["model"]["type"] = "BPE";
  expect_error<FormatError>(json, "'merges' is missing");
}

TEST(HostileTokenizer, WrongTypesOfSettingsAreFormatErrors) {
  expect_error<FormatError>(with("/model", "[]"), "model");
  expect_error<FormatError>(with("/model/vocab", "[]"), "model.vocab");
  expect_error<FormatError>(with("/model/byte_fallback", "1"), "byte_fallback");
  expect_error<FormatError>(with("/added_tokens", "{}"), "added_tokens");
  expect_error<FormatError>(with("/normalizer", "\"NFC\""), "normalizer");
  expect_error<FormatError>(with("/pre_tokenizer", R"({"type": "Split"})"), "pre_tokenizer");
  expect_error<FormatError>(
      with("/pre_tokenizer", R"({"type": "CharDelimiterSplit", "delimiter": ""})"), "delimiter");
  expect_error<FormatError>(with("/pre_tokenizer", R"({"type": "FixedLength", "length": 0})"),
                            "length");
  expect_error<FormatError>(
      with("/pre_tokenizer",
           R"({"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "(a"}})"),
      "Regex");
}

TEST(HostileTokenizer, AnUnknownStageIsUnsupportedAndTheKnownOnesAreListed) {
  expect_error<UnsupportedError>(with("/normalizer/type", "\"Magic\""), "'NFKC'");
  expect_error<UnsupportedError>(with("/pre_tokenizer/type", "\"Magic\""), "'Metaspace'");
  expect_error<UnsupportedError>(with("/model/type", "\"Magic\""), "'Unigram'");
  expect_error<UnsupportedError>(with("/decoder/type", "\"Magic\""), "'ByteFallback'");
  expect_error<UnsupportedError>(with("/post_processor", R"({"type": "Magic"})"),
                                 "'TemplateProcessing'");
}

TEST(HostileTokenizer, DeepNestingIsAFormatError) {
  std::string deep = R"({"type": "Whitespace"})";
  for (int i = 0; i < 1000; ++i) {
    deep = R"({"type": "Sequence", "pretokenizers": [)" + deep + "]}";
  }
  const std::string text =
      R"({"model": {"vocab": {}, "merges": []}, "pre_tokenizer": )" + deep + "}";
  EXPECT_THROW(Tokenizer::from_json(text, "tokenizer.json"), FormatError);
  EXPECT_THROW(Tokenizer::from_json(std::string(100000, '['), "tokenizer.json"), FormatError);
  EXPECT_THROW(Tokenizer::from_json("", "tokenizer.json"), FormatError);
}

TEST(HostileTokenizer, StagesThatDoubleTheTextAgainAndAgainAreStopped) {
  Json stages = Json::array();
  for (int i = 0; i < 60; ++i) {
    stages.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
  }
  Json json = whole();
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", stages}};
  EXPECT_THROW(read(json)->encode("a"), FormatError);
  json = whole();
  json["decoder"] = {{"type", "Sequence"}, {"decoders", stages}};
  EXPECT_THROW(read(json)->decode({0}), FormatError);
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  json = whole();
  json["post_processor"] = {
      {"type", "TemplateProcessing"}, {"single", {text, text}}, {"special_tokens", Json::object()}};
  expect_error<FormatError>(json, "post_processor.single[1].Sequence: the text is there twice");
}

TEST(HostileTokenizer, AnAddedTokenOfAbsurdLengthIsAFormatError) {
  const auto added = [](size_t length) {
    return with("/added_tokens/0/content", '"' + std::string(length, 'x') + '"');
  };
  EXPECT_EQ(read(added(4096))->encode(std::string(4096, 'x')).ids, (std::vector<int64_t>{4}));
  EXPECT_THROW(read(added(4097)), FormatError);
}

TEST(HostileTokenizer, AMissingFileIsNotFound) {
  EXPECT_THROW(Tokenizer::from_file("/does/not/exist/tokenizer.json"), NotFoundError);
}

TEST(HostileTokenizer, BytesThatAreNotUtf8BecomeReplacementCharactersWithTheirOwnOffsets) {
  Json json = with("/pre_tokenizer", "null");
  json["model"]["vocab"]["\uFFFD"] = 5;
  const auto tokenizer = read(json);
  const Encoding encoding = tokenizer->encode(
      "a\xFF\xE2\x82"
      "b");
  EXPECT_EQ(encoding.ids, (std::vector<int64_t>{0, 5, 5, 1}));
  using Offsets = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(encoding.offsets, (Offsets{{0, 1}, {1, 2}, {2, 4}, {4, 5}}));
}

TEST(HostileTokenizer, IdsOutsideTheVocabularyAreLeftOutOfTheText) {
  const auto tokenizer = read(whole());
  EXPECT_EQ(tokenizer->decode({0, -1, 77, int64_t{1} << 40, 1}), "ab");
  EXPECT_EQ(tokenizer->id_to_token(-1), std::nullopt);
  EXPECT_EQ(tokenizer->id_to_token(int64_t{1} << 40), std::nullopt);
  EXPECT_FALSE(tokenizer->is_special(-1));
}

}  // namespace
}  // namespace peft::tokenizers
