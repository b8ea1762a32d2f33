#include "peft/formats/gguf_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "tests/formats/gguf_bytes.h"
#include "tests/formats/hostile_files.h"

namespace peft::formats {
namespace {

using testing::HasSubstr;

std::string header_complaint(const std::string& text) {
  try {
    GgufHeader::parse(std::as_bytes(std::span(text)), "model.gguf");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(GgufHeader, ReadsShapesRowsFirst) {
  const std::string text = GgufBytes().start(1, 0).tensor("w", {32, 3}, 2, 0).data(3 * 18);
  const auto header = GgufHeader::parse(std::as_bytes(std::span(text)), "model.gguf");
  ASSERT_EQ(header.tensors().size(), 1);
  EXPECT_EQ(header.tensors()[0].shape, (std::vector<int64_t>{3, 32}));
  EXPECT_EQ(header.tensors()[0].bytes, 54);
  EXPECT_EQ(header.tensors()[0].begin, text.size() - 54);
}

TEST(GgufHeader, OtherFilesAndVersionsAreErrors) {
  EXPECT_THAT(header_complaint("GGML..........................."), HasSubstr("not a GGUF file"));
  EXPECT_THAT(header_complaint(GgufBytes().start(0, 0, 1).text()), HasSubstr("expected 2 or 3"));
  EXPECT_THAT(header_complaint(GgufBytes().start(0, 0, 0x03000000).text()),
              HasSubstr("big-endian"));
  EXPECT_THAT(header_complaint(GgufBytes().start(0, 0, 9).text()), HasSubstr("got 9"));
  EXPECT_EQ(header_complaint(GgufBytes().start(0, 0, 2).text()), "");
}

TEST(GgufHeader, CountsThatNoFileCanHoldAreErrors) {
  constexpr uint64_t kHuge = UINT64_MAX / 2;
  EXPECT_THAT(header_complaint(GgufBytes().start(kHuge, 0).data(64)),
              HasSubstr("number of tensors"));
  EXPECT_THAT(header_complaint(GgufBytes().start(0, kHuge).data(64)),
              HasSubstr("number of metadata values"));
  EXPECT_THAT(header_complaint(GgufBytes().start(0, 1).number(kHuge).data(64)),
              HasSubstr("metadata key"));
  const auto list = [](uint32_t type, uint64_t length) {
    return GgufBytes().start(0, 1).string("k").number<uint32_t>(9).number(type).number(length).data(
        64);
  };
  for (const uint32_t type : {0U, 6U, 8U, 9U, 12U}) {
    EXPECT_THAT(header_complaint(list(type, kHuge)), HasSubstr("metadata 'k': expected at most"))
        << type;
  }
  EXPECT_THAT(header_complaint(list(13, 1)), HasSubstr("type from 0 to 12"));
}

TEST(GgufHeader, ListsWithinListsAreReadAndBounded) {
  GgufBytes two;
  two.start(0, 1).string("k").number<uint32_t>(9).number<uint32_t>(9).number<uint64_t>(2);
  for (const uint16_t value : {7, 8}) two.number<uint32_t>(2).number<uint64_t>(1).number(value);
  const std::string text = two.text();
  const auto header = GgufHeader::parse(std::as_bytes(std::span(text)), "model.gguf");
  EXPECT_EQ(header.json("k"), Json::parse("[[7],[8]]"));
  GgufBytes deep;
  deep.start(0, 1).string("k").number<uint32_t>(9);
  for (int i = 0; i < 10'000; ++i) deep.number<uint32_t>(9).number<uint64_t>(1);
  EXPECT_THAT(header_complaint(deep.data(64)), HasSubstr("levels"));
}

TEST(GgufHeader, WrongTensorsAreErrorsThatNameThem) {
  const auto one = [](std::vector<uint64_t> shape, uint32_t type, uint64_t offset) {
    return header_complaint(
        GgufBytes().start(1, 0).tensor("w", std::move(shape), type, offset).data(64));
  };
  EXPECT_EQ(one({16}, 0, 0), "");
  EXPECT_THAT(one({17}, 0, 0), HasSubstr("tensor 'w': expected 68 bytes at offset 0, got 64"));
  EXPECT_EQ(one({16, 0}, 0, 0), "") << "no numbers, no bytes";
  EXPECT_THAT(header_complaint(GgufBytes().start(1, 0).tensor("w", {0}, 0, 0).text()),
              HasSubstr("tensor 'w': expected the data to begin at byte 64, got a file of 57"));
  EXPECT_THAT(one({1}, 0, 4), HasSubstr("that 32 divides"));
  EXPECT_THAT(one({1}, 0, UINT64_MAX - 31), HasSubstr("expected 4 bytes"));
  EXPECT_THAT(one({1U << 31, 1U << 31, 1U << 31}, 0, 0), HasSubstr("overflows"));
  EXPECT_THAT(one({UINT64_MAX}, 0, 0), HasSubstr("too large"));
  EXPECT_THAT(one({16}, 2, 0), HasSubstr("multiple of 32"));
  EXPECT_THAT(one({16}, 99, 0), HasSubstr("type 99 is unknown"));
  EXPECT_THAT(one({1, 1, 1, 1, 1}, 0, 0), HasSubstr("at most 4 dimensions"));
}

TEST(GgufHeader, OverlapHolesAndDuplicatesAreErrors) {
  const auto two = [](const std::string& second, uint64_t offset) {
    return header_complaint(
        GgufBytes().start(2, 0).tensor("a", {16}, 0, 0).tensor(second, {8}, 0, offset).data(160));
  };
  EXPECT_EQ(two("b", 64), "");
  EXPECT_THAT(two("b", 32), HasSubstr("overlap"));
  EXPECT_THAT(two("b", 128), HasSubstr("hole"));
  EXPECT_THAT(two("a", 64), HasSubstr("twice"));
  const std::string key = GgufBytes()
                              .start(0, 2)
                              .string("k")
                              .number<uint32_t>(0)
                              .number<uint8_t>(1)
                              .string("k")
                              .number<uint32_t>(0)
                              .number<uint8_t>(1)
                              .text();
  EXPECT_THAT(header_complaint(key), HasSubstr("twice"));
}

TEST(GgufHeader, EveryTruncationOfARealFileIsAnError) {
  const std::string whole = read_text_file(PEFT_SOURCE_DIR "/tests/formats/golden/tiny_llama.gguf");
  EXPECT_EQ(header_complaint(whole), "");
  size_t end = 0;  // the writer pads the file after its last tensor
  const auto header = GgufHeader::parse(std::as_bytes(std::span(whole)), "whole");
  for (const GgufTensor& tensor : header.tensors())
    end = std::max(end, tensor.begin + tensor.bytes);
  for (size_t length = 0; length < end; length += length < 4096 ? 1 : 61) {
    EXPECT_NE(header_complaint(whole.substr(0, length)), "") << length;
  }
}

TEST(GgufHeader, FlippedBytesGiveAnErrorOrAHeaderThatStaysInsideTheFile) {
  const std::string whole = read_text_file(PEFT_SOURCE_DIR "/tests/formats/golden/tiny_llama.gguf");
  const std::string start = whole.substr(0, 2048);
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = with_flipped_bytes(start, random, 1 + i % 3) + whole.substr(2048);
    parse_exactly(text, [](std::span<const std::byte> bytes) {
      try {
        const auto header = GgufHeader::parse(bytes, "flipped");
        for (const GgufTensor& tensor : header.tensors()) {
          EXPECT_LE(tensor.begin, bytes.size());
          EXPECT_LE(tensor.bytes, bytes.size() - tensor.begin);
        }
        for (const GgufMetadata& value : header.metadata()) GgufHeader::json(value);
      } catch (const Error&) {
      }
    });
  }
}

}  // namespace
}  // namespace peft::formats
