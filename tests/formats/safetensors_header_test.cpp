#include "peft/formats/safetensors_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "tests/formats/hostile_files.h"

namespace peft::formats {
namespace {

using testing::HasSubstr;

std::string file_of(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string text(sizeof length, '\0');
  std::memcpy(text.data(), &length, sizeof length);
  return text + header + std::string(data_bytes, 'x');
}

SafetensorsHeader parse(const std::string& text) {
  return parse_safetensors_header(std::as_bytes(std::span(text)), "model.safetensors");
}

/// The message of the FormatError that the file gives; empty where it gives none.
std::string complaint(const std::string& text) {
  try {
    parse(text);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& range) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + range + "}";
}

TEST(SafetensorsHeader, ReadsEntriesInTheOrderOfTheirBytes) {
  const auto header =
      parse(file_of(R"({"__metadata__":{"format":"pt"},"b":)" + entry("F32", "[2]", "[2,10]") +
                        R"(,"a":)" + entry("F16", "[]", "[0,2]") + "}",
                    10));
  ASSERT_EQ(header.tensors.size(), 2);
  EXPECT_EQ(header.tensors[0].name, "a");
  EXPECT_EQ(header.tensors[1].end - header.tensors[1].begin, 8);
  EXPECT_EQ(header.metadata.front().second, "pt");
}

TEST(SafetensorsHeader, ReadsAFileWithoutTensors) {
  EXPECT_TRUE(parse(file_of("{}", 0)).tensors.empty());
}

TEST(SafetensorsHeader, AHugeLengthIsAnErrorBeforeAnythingIsAllocated) {
  std::string text = file_of("{}", 0);
  std::memset(text.data(), 0xFF, 8);
  EXPECT_THAT(complaint(text), HasSubstr("too long"));
  const uint64_t length = 99'000'000;
  std::memcpy(text.data(), &length, 8);
  EXPECT_THAT(complaint(text), HasSubstr("cut off"));
}

TEST(SafetensorsHeader, SaysTensorExpectedAndGotForAWrongSize) {
  const std::string text = file_of(R"({"w":)" + entry("F32", "[2,3]", "[0,20]") + "}", 20);
  EXPECT_THAT(complaint(text),
              HasSubstr("model.safetensors: tensor 'w': expected 24 bytes for F32 [2, 3], got 20"));
}

TEST(SafetensorsHeader, OverlapHolesAndLooseEndsAreErrors) {
  const auto two = [](const std::string& first, const std::string& second, size_t bytes) {
    return file_of(
        R"({"a":)" + entry("U8", "[4]", first) + R"(,"b":)" + entry("U8", "[4]", second) + "}",
        bytes);
  };
  EXPECT_EQ(complaint(two("[0,4]", "[4,8]", 8)), "");
  EXPECT_THAT(complaint(two("[0,4]", "[2,6]", 8)), HasSubstr("overlap"));
  EXPECT_THAT(complaint(two("[0,4]", "[5,9]", 9)), HasSubstr("hole"));
  EXPECT_THAT(complaint(two("[0,4]", "[4,8]", 9)), HasSubstr("wrong size"));
  EXPECT_THAT(complaint(two("[0,4]", "[4,8]", 7)), HasSubstr("within the 7 bytes"));
  EXPECT_THAT(complaint(two("[0,4]", "[8,4]", 8)), HasSubstr("range"));
}

TEST(SafetensorsHeader, OverflowingAndWrongShapesAreErrors) {
  const auto one = [](const std::string& dtype, const std::string& shape) {
    return file_of(R"({"w":)" + entry(dtype, shape, "[0,8]") + "}", 8);
  };
  EXPECT_THAT(complaint(one("F32", "[4294967296,4294967296]")), HasSubstr("overflows"));
  EXPECT_THAT(complaint(one("F64", "[2305843009213693953]")), HasSubstr("overflows"));
  EXPECT_THAT(complaint(one("F32", "[9223372036854775808]")), HasSubstr("whole numbers"));
  EXPECT_THAT(complaint(one("F32", "[-2]")), HasSubstr("whole numbers"));
  EXPECT_THAT(complaint(one("F32", "[2.0]")), HasSubstr("whole numbers"));
  EXPECT_THAT(complaint(one("F33", "[2]")), HasSubstr("known dtype"));
  EXPECT_THAT(complaint(one("F4", "[3]")), HasSubstr("within a byte"));
}

TEST(SafetensorsHeader, DuplicateNamesDeepJsonAndOtherValuesAreErrors) {
  const std::string w = R"("w":)" + entry("U8", "[0]", "[0,0]");
  EXPECT_THAT(complaint(file_of("{" + w + "," + w + "}", 0)), HasSubstr("'w' is there twice"));
  EXPECT_THAT(complaint(file_of(std::string(100'000, '['), 0)), HasSubstr("nested too deeply"));
  EXPECT_THAT(complaint(file_of("[]", 0)), HasSubstr("expected a JSON object"));
  EXPECT_THAT(complaint(file_of(R"({"w":7})", 0)), HasSubstr("tensor 'w'"));
  EXPECT_THAT(complaint(file_of(R"({"__metadata__":{"a":1}})", 0)), HasSubstr("expected a string"));
  EXPECT_THAT(complaint(file_of("{\"\xff\":1}", 0)), HasSubstr("not valid JSON"));
}

TEST(SafetensorsHeader, EveryTruncationOfARealFileIsAnError) {
  const std::string whole =
      read_text_file(PEFT_SOURCE_DIR "/tests/formats/golden/python.safetensors");
  EXPECT_EQ(complaint(whole), "");
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(complaint(whole.substr(0, length)), "") << length;
  }
}

TEST(SafetensorsHeader, FlippedBytesGiveAnErrorOrAHeaderThatStaysInsideTheFile) {
  const std::string whole =
      read_text_file(PEFT_SOURCE_DIR "/tests/formats/golden/python.safetensors");
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    parse_exactly(with_flipped_bytes(whole, random, 1 + i % 3),
                  [](std::span<const std::byte> bytes) {
                    try {
                      for (const auto& entry : parse_safetensors_header(bytes, "flipped").tensors) {
                        EXPECT_LE(entry.begin, entry.end);
                        EXPECT_LE(entry.end, bytes.size());
                      }
                    } catch (const FormatError&) {
                    }
                  });
  }
}

}  // namespace
}  // namespace peft::formats
