#include "peft/base/terminal.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

namespace peft {
namespace {

Terminal described(bool is_tty, int columns, const std::map<std::string, std::string>& variables) {
  return describe_terminal(is_tty, columns, [&](const char* name) -> const char* {
    const auto place = variables.find(name);
    return place == variables.end() ? nullptr : place->second.c_str();
  });
}

TEST(Terminal, OfAPipeIsPlain) {
  const Terminal pipe = described(false, 0, {{"TERM", "xterm-256color"}});
  EXPECT_FALSE(pipe.is_tty);
  EXPECT_FALSE(pipe.can_redraw);
  EXPECT_FALSE(pipe.color);
  EXPECT_EQ(pipe.width, 80);
}

TEST(Terminal, OfAWindowHasColoursAndItsWidth) {
  const Terminal window = described(true, 132, {{"TERM", "xterm"}, {"COLUMNS", "60"}});
  EXPECT_TRUE(window.can_redraw);
  EXPECT_TRUE(window.color);
  EXPECT_EQ(window.width, 132);
}

TEST(Terminal, TakesItsWidthFromTheEnvironmentWhereTheSystemHasNone) {
  EXPECT_EQ(described(true, 0, {{"COLUMNS", "60"}}).width, 60);
  EXPECT_EQ(described(true, 0, {{"COLUMNS", "wide"}}).width, 80);
}

TEST(Terminal, HonoursNoColor) {
  const Terminal window = described(true, 80, {{"NO_COLOR", "1"}});
  EXPECT_TRUE(window.can_redraw);
  EXPECT_FALSE(window.color);
  EXPECT_TRUE(described(true, 80, {{"NO_COLOR", ""}}).color);
}

TEST(Terminal, ThatIsDumbNeitherRedrawsNorColours) {
  const Terminal dumb = described(true, 80, {{"TERM", "dumb"}});
  EXPECT_FALSE(dumb.can_redraw);
  EXPECT_FALSE(dumb.color);
}

TEST(Terminal, SpeaksUnicodeUnlessTheLocaleNamesAnotherSet) {
  EXPECT_TRUE(described(true, 80, {}).unicode);
  EXPECT_TRUE(described(true, 80, {{"LANG", "C"}}).unicode);
  EXPECT_TRUE(described(true, 80, {{"LANG", "de_DE.UTF-8"}}).unicode);
  EXPECT_FALSE(described(true, 80, {{"LANG", "de_DE.ISO-8859-1"}}).unicode);
  EXPECT_TRUE(described(true, 80, {{"LC_ALL", "en_US.utf8"}, {"LANG", "x.latin1"}}).unicode);
}

TEST(Terminal, KnowsWhetherProgressBarsAreWanted) {
  setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1", 1);
  EXPECT_TRUE(progress_bars_disabled());
  setenv("HF_HUB_DISABLE_PROGRESS_BARS", "0", 1);
  EXPECT_FALSE(progress_bars_disabled());
  unsetenv("HF_HUB_DISABLE_PROGRESS_BARS");
  EXPECT_FALSE(progress_bars_disabled());
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("é"), 1u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("\x1b[1mbold\x1b[0m"), 4u);
  EXPECT_EQ(display_width("\xff"), 1u);
}

TEST(FitWidth, CutsBetweenCharactersAndMarksTheCut) {
  EXPECT_EQ(fit_width("abcdef", 6), "abcdef");
  EXPECT_EQ(fit_width("abcdef", 4), "abc…");
  EXPECT_EQ(fit_width("abcdef", 4, false), "abc~");
  EXPECT_EQ(fit_width("日本語", 4), "日…");
  EXPECT_EQ(fit_width("abc", 0), "");
}

TEST(Styled, LeavesTheTextAloneWithoutColours) {
  Terminal terminal;
  EXPECT_EQ(styled("x", Style::kBold, terminal), "x");
  terminal.color = true;
  EXPECT_EQ(styled("x", Style::kBold, terminal), "\x1b[1mx\x1b[0m");
}

}  // namespace
}  // namespace peft
