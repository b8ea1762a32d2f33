#include "peft/tokenizers/unicode.h"

#include <gtest/gtest.h>

#include "peft/tokenizers/byte_level.h"

namespace peft::tokenizers {
namespace {

TEST(Unicode, EveryCodePointSurvivesUtf8) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = "x";
    append_utf8(text, c);
    const CodePoint read = decode_utf8(text, 1);
    ASSERT_EQ(read.value, c);
    ASSERT_EQ(read.length, text.size() - 1);
    ASSERT_EQ(decode_utf8_before(text, text.size()).value, c);
    ASSERT_EQ(valid_utf8_prefix(text), text.size());
  }
}

TEST(Unicode, BrokenBytesBecomeReplacementCharactersAsInPython) {
  EXPECT_EQ(to_valid_utf8("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(to_valid_utf8("\xE2\x82"), "\uFFFD");
  EXPECT_EQ(to_valid_utf8("\xE2\x82x"), "\uFFFDx");
  EXPECT_EQ(to_valid_utf8("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(to_valid_utf8("\xC0\xAF"), "\uFFFD\uFFFD") << "overlong";
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD") << "a surrogate";
  EXPECT_EQ(to_valid_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD") << "too large";
  EXPECT_EQ(to_valid_utf8("\x80\x80"), "\uFFFD\uFFFD");
}

TEST(ByteLevel, AllBytesHaveStandInsThatLeadBack) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  const std::string written = to_byte_level(bytes);
  EXPECT_EQ(count_characters(written), 256u);
  EXPECT_EQ(from_byte_level(written), bytes);
  EXPECT_EQ(to_byte_level(" \n"), "ĠĊ");
  EXPECT_EQ(from_byte_level("a b"), std::nullopt);
}

}  // namespace
}  // namespace peft::tokenizers
