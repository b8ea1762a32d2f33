#include "peft/base/regex_replace.h"

#include <gtest/gtest.h>

#include "peft/base/error.h"

namespace peft {
namespace {

std::string replaced(const char* pattern, const char* replacement, const char* text) {
  return RegexReplacement(pattern, replacement, "key_mapping")(text).text;
}

// The expected texts are those of Python's re.sub.
TEST(RegexReplacement, ReplacesAsPythonDoes) {
  EXPECT_EQ(replaced("^language_model", "model.language_model", "language_model.layers"),
            "model.language_model.layers");
  EXPECT_EQ(replaced(R"(layers\.(\d+)\.(\w+))", R"(\2.\1)", "layers.7.mlp.up"), "mlp.7.up");
  EXPECT_EQ(replaced(R"((?:a|b)(?P<rest>\d)[()]?)", R"(<\g<rest>>\g<1>)", "a1b2)"), "<1>1<2>2");
  EXPECT_EQ(replaced("x*", "-", "abxd"), "-a-b--d-");
  EXPECT_EQ(replaced("(a)|b", R"([\1])", "ab"), "[a][]");
  EXPECT_EQ(replaced("a", R"(\\\n)", "a"), "\\\n");
  EXPECT_EQ(replaced(R"([^\]](c))", R"(\1)", "bc"), "c");
  EXPECT_EQ(replaced("é", "e", "café é"), "cafe e");
  EXPECT_EQ(replaced("", "-", "é"), "-é-");
}

TEST(RegexReplacement, CountsWhatItReplaces) {
  const RegexReplacement replacement("a", "b", "key_mapping");
  EXPECT_EQ(replacement("banana").count, 3u);
  EXPECT_EQ(replacement("xyz").count, 0u);
  EXPECT_EQ(replacement("xyz").text, "xyz");
}

TEST(RegexReplacement, AWrongTemplateSaysWhere) {
  for (const char* replacement : {"\\", "\\2", "\\g", "\\g<", "\\g<x>", "\\g<>", "\\q", "\\0"}) {
    try {
      RegexReplacement("(a)", replacement, "key_mapping");
      ADD_FAILURE() << replacement;
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find("key_mapping: the replacement"), std::string::npos);
    }
  }
  EXPECT_THROW(RegexReplacement("(", "a", "key_mapping"), ConfigError);
}

}  // namespace
}  // namespace peft
