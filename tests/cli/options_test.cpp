#include "cli/options.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

namespace peft::cli {
namespace {

struct Sample {
  std::string name = {};
  int64_t steps = 3;
  double rate = 0.5;
  bool shuffle = true;
  bool fast = false;
  std::vector<std::string> targets = {};
  std::optional<std::string> prompt = {};
  std::vector<std::filesystem::path> paths = {};

  static void fields(auto& self, auto&& field) {
    field("the_name", self.name, "A name.", Required{});
    field("max_steps", self.steps, "Steps | more.");
    field("rate", self.rate, "A rate.");
    field("shuffle", self.shuffle, "Shuffle.");
    field("fast", self.fast, "Fast.");
    field("targets", self.targets, "Targets.");
    field("prompt", self.prompt, "A prompt.");
    field("paths", self.paths, "Paths.", Positional{});
  }
};

Sample read(const std::vector<std::string>& arguments) {
  Sample sample;
  auto flags = flags_of(sample);
  read_arguments(arguments, flags);
  return sample;
}

std::string error_of(const std::vector<std::string>& arguments) {
  try {
    read(arguments);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

std::string config_file(const std::string& text) {
  std::string name = testing::TempDir() + "options_test_XXXXXX";
  const int descriptor = ::mkstemp(name.data());
  EXPECT_GE(descriptor, 0);
  ::close(descriptor);
  std::ofstream(name) << text;
  return name;
}

TEST(Options, UnderscoresDashesAndEqualsSignsAreAllUnderstood) {
  EXPECT_EQ(read({"--the_name", "a"}).name, "a");
  EXPECT_EQ(read({"--the-name=a b"}).name, "a b");
  EXPECT_EQ(read({"--the-name=--x", "--max-steps", "-1"}).steps, -1);
  EXPECT_DOUBLE_EQ(read({"--the_name", "a", "--rate", "2e-4"}).rate, 2e-4);
}

TEST(Options, SwitchesTakeAnOptionalWord) {
  EXPECT_TRUE(read({"--the_name", "a", "--fast"}).fast);
  EXPECT_FALSE(read({"--the_name", "a", "--shuffle", "false"}).shuffle);
  EXPECT_FALSE(read({"--the_name", "a", "--no-shuffle"}).shuffle);
  EXPECT_EQ(read({"--the_name", "a", "--fast", "a.txt"}).paths.size(), 1);
}

TEST(Options, ListsTakeWordsUpToTheNextFlag) {
  const Sample sample = read({"--targets", "q_proj", "v_proj", "--the_name", "a", "x", "y"});
  EXPECT_EQ(sample.targets, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(sample.paths.size(), 2);
}

TEST(Options, AnEmptyTextIsAText) {
  EXPECT_EQ(read({"--the_name", "a", "--prompt", ""}).prompt, "");
}

TEST(Options, WrongCommandLinesSayWhatIsWrong) {
  EXPECT_NE(error_of({}).find("--the_name is missing"), std::string::npos);
  EXPECT_NE(error_of({"--the_nam", "a"}).find("'the_name'"), std::string::npos);
  EXPECT_NE(error_of({"--the_name"}).find("expected a value"), std::string::npos);
  EXPECT_NE(error_of({"--the_name", "a", "--the-name", "b"}).find("given twice"),
            std::string::npos);
  EXPECT_NE(error_of({"--the_name", "a", "--max_steps", "3x"}).find("a whole number"),
            std::string::npos);
  EXPECT_NE(
      error_of({"--the_name", "a", "--max_steps", "99999999999999999999"}).find("whole number"),
      std::string::npos);
  EXPECT_NE(error_of({"--the_name", "a", "--no-max-steps"}).find("unknown option"),
            std::string::npos);
  EXPECT_NE(error_of({"--the_name", "a", "--targets", "--fast"}).find("at least one"),
            std::string::npos);
}

TEST(Options, TheCommandLineWinsOverTheConfig) {
  const std::string file = config_file(
      "the_name: from file\nmax-steps: 7\nrate: 1e-4\nshuffle: no\ntargets: [a, b]\nprompt: "
      "null\n");
  const Sample sample = read({"--max_steps", "9", "--config", file});
  EXPECT_EQ(sample.name, "from file");
  EXPECT_EQ(sample.steps, 9);
  EXPECT_DOUBLE_EQ(sample.rate, 1e-4);
  EXPECT_FALSE(sample.shuffle);
  EXPECT_EQ(sample.targets, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(sample.prompt.has_value());
}

TEST(Options, AWrongConfigNamesTheFile) {
  for (const char* text :
       {"the_name: a\nmax_step: 1\n", "the_name: a\nthe_name: b\n", "the_name: a\nthe-name: b\n",
        "- a\n", "the_name: {a: b}\n", "the_name: [\n", "max_steps: many\n"}) {
    const std::string file = config_file(text);
    EXPECT_NE(error_of({"--config", file}).find(file), std::string::npos) << text;
  }
  EXPECT_NE(error_of({"--config", "/nowhere.yaml"}).find("cannot be read"), std::string::npos);
  const std::string file = config_file("the_name: a\n");
  EXPECT_NE(error_of({"--config", file, "--config", file}).find("given twice"), std::string::npos);
}

TEST(Options, HelpHasEveryFlagWithItsDefault) {
  Sample sample;
  const auto flags = flags_of(sample);
  const std::string text = describe_flags(flags, 100);
  for (const Flag& flag : flags) EXPECT_NE(text.find(flag.name), std::string::npos) << flag.name;
  EXPECT_NE(text.find("A rate. [0.5]"), std::string::npos);
  EXPECT_NE(flags_as_markdown(flags).find("Steps \\| more."), std::string::npos);
}

}  // namespace
}  // namespace peft::cli
