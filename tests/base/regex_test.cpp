#include "peft/base/regex.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft {
namespace {

Regex python(std::string_view pattern) {
  return Regex(pattern, Regex::Syntax::kPython, "target_modules");
}

TEST(Regex, FullMatchMeansTheWholeTextAsInPython) {
  EXPECT_TRUE(python(R"(.*\.(q|v)_proj)").full_match("model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(python("q_proj").full_match("self_attn.q_proj"));
  EXPECT_TRUE(python("a|ab").full_match("ab"));
  EXPECT_FALSE(python("a").full_match("a\n"));
  EXPECT_TRUE(python("").full_match(""));
}

TEST(Regex, PythonsOwnSpellingsWork) {
  EXPECT_TRUE(python(R"((?P<kind>q|k)_(?P=kind))").full_match("q_q"));
  EXPECT_TRUE(python(R"((?i)Q_PROJ)").full_match("q_proj"));
  EXPECT_TRUE(python(R"(\w+\.\d+(?!x))").full_match("layers.12"));
  EXPECT_TRUE(python("(?x) a b  # the end").full_match("ab"));
  EXPECT_TRUE(python(R"(a\Z)").full_match("a"));
  EXPECT_FALSE(python(".*").full_match("a\nb"));
}

TEST(Regex, SearchGivesBytesAndGroups) {
  const Regex regex(R"((\p{L}+)(\d)?)", Regex::Syntax::kRuby, "tokenizer.json");
  const auto match = regex.search("1 é2", 1);
  ASSERT_TRUE(match);
  EXPECT_EQ(match->begin, 2);
  EXPECT_EQ(match->end, 5);
  ASSERT_EQ(match->groups.size(), 3);
  EXPECT_EQ(match->groups[1], (Regex::Span{2, 4}));
  EXPECT_EQ(match->groups[2], (Regex::Span{4, 5}));
  EXPECT_FALSE(regex.search("1 é2", 5));
  EXPECT_FALSE(regex.search("123"));
  EXPECT_FALSE(regex.search("a", 2));
}

TEST(Regex, AnUnusedGroupIsEmpty) {
  const auto match = python("(a)|(b)").search("b");
  ASSERT_TRUE(match);
  EXPECT_FALSE(match->groups[1]);
  EXPECT_TRUE(match->groups[2]);
}

TEST(Regex, LookbehindSeesWhatIsBeforeTheStart) { EXPECT_TRUE(python("(?<=a)b").find("ab", 1)); }

TEST(Regex, AWrongPatternIsAnErrorThatNamesTheSetting) {
  for (const char* pattern : {"(", "*a", "[a", "a)(b", "\xff"}) {
    EXPECT_THROW(python(pattern), ConfigError) << pattern;
  }
  try {
    python("(");
  } catch (const ConfigError& error) {
    EXPECT_EQ(std::string(error.what()).rfind("target_modules: '('", 0), 0) << error.what();
  }
}

TEST(Regex, AnExplodingPatternGivesAnErrorAndNoHang) {
  EXPECT_THROW(python("(a|aa|a.)*(a|.a)*c\\1").full_match(std::string(60, 'a')), ConfigError);
}

}  // namespace
}  // namespace peft
