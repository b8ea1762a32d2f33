#include "peft/base/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "peft/base/error.h"

namespace peft {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Figure falling() {
  return {.title = "Loss <1>",
          .x_label = "step",
          .series = {{.name = "train", .x = {0, 5, 10}, .y = {2, 1, 0}}}};
}

TEST(NiceAxis, MarksRoundNumbers) {
  EXPECT_THAT(nice_axis(0, 10, 5).labels, ElementsAre("0", "2", "4", "6", "8", "10"));
  EXPECT_THAT(nice_axis(0.013, 0.049, 4).labels,
              ElementsAre("0.01", "0.02", "0.03", "0.04", "0.05"));
  EXPECT_THAT(nice_axis(-1, 1, 4).labels, ElementsAre("-1.0", "-0.5", "0.0", "0.5", "1.0"));
  EXPECT_THAT(nice_axis(1, 12, 5, /*whole=*/true).labels, ElementsAre("0", "5", "10", "15"));
  EXPECT_THAT(nice_axis(1, 1, 5, /*whole=*/true).labels, ElementsAre("0", "1", "2"));
  EXPECT_THAT(nice_axis(0, 10000, 4).labels, ElementsAre("0", "2.5k", "5.0k", "7.5k", "10.0k"));
}

TEST(NiceAxis, StandsHardLimits) {
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{
           {1, 1}, {0, 0}, {kNaN, 1}, {-1e308, 1e308}, {5e-324, 1e-320}, {1e15, 1e15 + 1}}) {
    const Axis axis = nice_axis(low, high, 5);
    EXPECT_LT(axis.first, axis.last) << low << " " << high;
    EXPECT_EQ(axis.ticks.size(), axis.labels.size());
    EXPECT_GE(axis.ticks.size(), 2u);
  }
}

TEST(Smoothed, IsTheCorrectedExponentialMean) {
  EXPECT_THAT(smoothed({1, 1, 1}, 0.9), ElementsAre(1, DoubleNear(1, 1e-12), DoubleNear(1, 1e-12)));
  EXPECT_THAT(smoothed({0, 1}, 0.5), ElementsAre(0, DoubleNear(2.0 / 3, 1e-12)));
  EXPECT_TRUE(std::isnan(smoothed({1, kNaN, 1}, 0.5)[1]));
  EXPECT_DOUBLE_EQ(smoothed({1, kNaN, 1}, 0.5)[2], 1);
}

TEST(Sparkline, DrawsOneBarForAValue) {
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({0, 0, 7, 7}, 2), "▁█");
  EXPECT_EQ(sparkline({}), "");
  EXPECT_EQ(sparkline({kNaN}), "");
}

TEST(PlotText, DrawsAxesAndALine) {
  const std::string text = plot_text(falling(), {.width = 24, .height = 4});
  EXPECT_THAT(text, HasSubstr("Loss <1>\n"));
  EXPECT_THAT(text, HasSubstr("2 ┤"));
  EXPECT_THAT(text, HasSubstr("\n  └┬"));
  // The line falls from the upper left corner to the lower right one.
  const size_t top = text.find("┤"), bottom = text.find("0 ┤");
  ASSERT_NE(top, std::string::npos);
  ASSERT_NE(bottom, std::string::npos);
  EXPECT_NE(text.substr(top + std::string("┤").size(), 1), " ");
  EXPECT_EQ(text.substr(bottom + std::string("0 ┤").size(), 1), " ");
  for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1)
    EXPECT_LE(display_width(text.substr(begin, text.find('\n', begin) - begin)), 24u);
}

TEST(PlotText, UsesPlainCharactersWithoutUnicode) {
  Terminal terminal;
  terminal.unicode = false;
  const std::string text = plot_text(falling(), {.width = 30, .height = 5, .terminal = terminal});
  EXPECT_THAT(text, HasSubstr("*"));
  for (const char c : text) EXPECT_LT(static_cast<unsigned char>(c), 0x80);
}

TEST(PlotText, NamesSeveralSeries) {
  Figure figure = falling();
  EXPECT_THAT(plot_text(figure), Not(HasSubstr("train")));
  figure.series.push_back({.name = "held-out", .x = {1}, .y = {1}});
  EXPECT_THAT(plot_text(figure), HasSubstr("held-out"));
}

TEST(Plot, StandsNothingToDraw) {
  const Figure empty{.title = "Nothing", .series = {{.x = {0}, .y = {kNaN}}, {}}};
  EXPECT_THAT(plot_text(empty), HasSubstr("Nothing"));
  EXPECT_THAT(plot_svg(empty), Not(HasSubstr("<path")));
}

TEST(Plot, RefusesUnevenSeries) {
  const Figure uneven{.title = "t", .series = {{.name = "s", .x = {1, 2}, .y = {1}}}};
  EXPECT_THROW(plot_text(uneven), ConfigError);
  EXPECT_THROW(plot_svg(uneven), ConfigError);
}

TEST(PlotSvg, DrawsThePathThroughThePoints) {
  const std::string svg = plot_svg(falling());
  EXPECT_THAT(svg, HasSubstr("<path class=\"line\""));
  EXPECT_THAT(svg, HasSubstr("Loss &lt;1&gt;"));
  EXPECT_THAT(svg, HasSubstr(">step</text>"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(PlotSvg, DrawsRawPointsLightlyUnderTheSmoothedLine) {
  Figure figure = falling();
  figure.series[0].smoothing = 0.8;
  const std::string svg = plot_svg(figure);
  EXPECT_LT(svg.find("<path class=\"raw\""), svg.find("<path class=\"line\""));
}

TEST(PlotSvg, LeavesAGapWhereAValueIsMissing) {
  const Figure gap{.series = {{.x = {0, 1, 2}, .y = {1, kNaN, 1}}}};
  const std::string svg = plot_svg(gap);
  const std::string path = svg.substr(svg.find("<path"));
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 2);
}

}  // namespace
}  // namespace peft
