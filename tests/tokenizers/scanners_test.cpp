#include "peft/tokenizers/pre_tokenizers/scanners.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "peft/base/regex.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

/// Characters of all kinds that the patterns tell apart; all older than Unicode 14, which is what
/// the system's regular expressions know.
std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> kParts = {
      " ", " ",  "  ", "\n",   "\r\n",   "\t",  "\u00a0", "\u3000", "\u2028", "a",  "Z",
      "é", "ſ",  "'s", "'S",   "'t",     "'LL", "'lL",    "'re",    "'vE",    "'m", "'D",
      "'", "1",  "23", "٣",    "½",      "Ⅷ",   "中",     "क",      "्",       "́",   "😀",
      ".", "!?", "_",  "\x01", "\u200b", "'ſ",  "'r",     "'l"};
  std::string text;
  const size_t count = random() % 12;
  for (size_t i = 0; i < count; ++i) text += kParts[random() % kParts.size()];
  return text;
}

void expect_same_cuts(std::string_view pattern) {
  const Scanner scan = find_scanner(pattern);
  ASSERT_NE(scan, nullptr);
  const Regex regex(pattern, Regex::Syntax::kRuby, "test");
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    const std::string text = random_text(random);
    for (size_t at = 0; at < text.size();) {
      const auto expected = regex.find(text, at);
      ASSERT_TRUE(expected.has_value()) << text;
      ASSERT_EQ(expected->begin, at) << text;
      ASSERT_EQ(scan(text, at), expected->end) << '"' << text << "\" at " << at;
      at = expected->end;
    }
  }
}

TEST(Scanners, Gpt2CutsAsItsRegularExpression) { expect_same_cuts(kGpt2Pattern); }

TEST(Scanners, Llama3CutsAsItsRegularExpression) { expect_same_cuts(kLlama3Pattern); }

TEST(Scanners, Qwen2CutsAsItsRegularExpression) { expect_same_cuts(kQwen2Pattern); }

TEST(Scanners, OtherPatternsHaveNone) { EXPECT_EQ(find_scanner("a|b"), nullptr); }

TEST(Scanners, ClassesAgreeWithRegularExpressionsBelowTheYoungPlanes) {
  const std::pair<const char*, CharClass> classes[] = {
      {R"(\p{L})", kLetter}, {R"(\p{N})", kNumber}, {R"(\p{M})", kMark}, {R"(\s)", kSpace}};
  for (const auto& [pattern, bit] : classes) {
    const Regex regex(pattern, Regex::Syntax::kRuby, "test");
    // Up to the end of Latin, Greek and Cyrillic nothing has changed for many versions.
    for (char32_t c = 1; c < 0x530; ++c) {
      std::string text;
      append_utf8(text, c);
      EXPECT_EQ(regex.find(text).has_value(), (char_class_table()[c] & bit) != 0)
          << pattern << ' ' << static_cast<uint32_t>(c);
    }
  }
}

}  // namespace
}  // namespace peft::tokenizers
