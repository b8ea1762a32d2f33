#include "peft/base/text.h"

#include <gtest/gtest.h>

namespace peft {
namespace {

TEST(Text, ClosestNamesComeFirst) {
  EXPECT_EQ(closest_names("q_prj", {"v_proj", "q_proj", "k_proj"}, 1),
            std::vector<std::string>{"q_proj"});
  EXPECT_EQ(closest_names("proj", {"xyzabc", "gate_up_proj"}, 3).front(), "gate_up_proj");
  EXPECT_TRUE(closest_names("abc", {"xyz"}).empty());
}

TEST(Text, EditsAreCounted) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("nrom", "norm"), 1);
  EXPECT_EQ(edit_distance("", "abc"), 3);
}

TEST(Text, LongListsOfNamesAreCut) {
  EXPECT_EQ(join_names({"a", "b", "c"}, 2), "'a', 'b' and 1 more");
  EXPECT_EQ(join_names({}), "");
}

TEST(Text, NumbersForPeople) {
  EXPECT_EQ(with_thousands(134515008), "134,515,008");
  EXPECT_EQ(with_thousands(-1234), "-1,234");
  EXPECT_EQ(with_thousands(-123), "-123");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1234567), "1.2 MB");
  EXPECT_EQ(human_bytes(999'960), "1.0 MB");
}

TEST(Text, QuotesEscapeAndCut) {
  EXPECT_EQ(quote("a\nb\x01\xff"), R"('a\nb\x01\xff')");
  EXPECT_LT(quote(std::string(10'000, 'x')).size(), 300);
  EXPECT_EQ(quote("é"), "'é'");
}

TEST(Text, Utf8IsCheckedAsTheStandardSays) {
  EXPECT_TRUE(is_valid_utf8("a é € 😀"));
  for (const char* bad :
       {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
    EXPECT_FALSE(is_valid_utf8(bad));
  }
}

TEST(Text, SplitsAndTrims) {
  EXPECT_EQ(split("a..b", '.'), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(trim(" \t a b\n"), "a b");
  EXPECT_EQ(trim("  "), "");
}

}  // namespace
}  // namespace peft
