#include "peft/base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

namespace peft {
namespace {

using testing::HasSubstr;
using testing::Not;

/// A bar on a stream with a clock that only moves when told.
struct Scene {
  double time = 0;
  std::ostringstream out;

  ProgressOptions options(bool live) {
    ProgressOptions options{.label = "train", .total = 10, .unit = "step", .disabled = false};
    options.terminal.is_tty = options.terminal.can_redraw = live;
    options.clock = [this] { return time; };
    return options;
  }
};

TEST(ProgressBar, ShowsShareRateAndTimeLeft) {
  Scene scene;
  ProgressBar bar(scene.out, scene.options(true));
  scene.time = 8;
  bar.set_postfix("loss", "0.5");
  bar.advance(4);
  EXPECT_EQ(bar.line(100),
            "train   40% ━━━━━━━━━━━━━━━━──────────────────────── 4/10 [00:08<00:12, 2.00 s/step, "
            "loss=0.5]");
}

TEST(ProgressBar, GivesWayToItsWordsInANarrowWindow) {
  Scene scene;
  ProgressBar bar(scene.out, scene.options(true));
  scene.time = 1;
  bar.advance(4);
  EXPECT_EQ(display_width(bar.line(60)), 60u);
  EXPECT_THAT(bar.line(40), Not(HasSubstr("━")));
  for (int width = 1; width < 100; ++width)
    EXPECT_LE(display_width(bar.line(width)), static_cast<size_t>(width));
}

TEST(ProgressBar, TheBarGoesFirstThenTheLastFacts) {
  Scene scene;
  ProgressOptions options = scene.options(true);
  options.show_rate = false;
  ProgressBar bar(scene.out, options);
  scene.time = 8;
  bar.advance(4);
  bar.set_postfix("loss", "0.5");
  bar.set_postfix("mem", "1.2 GB");
  EXPECT_EQ(bar.line(63), "train   40% ━━━━────── 4/10 [00:08<00:12, loss=0.5, mem=1.2 GB]");
  EXPECT_EQ(bar.line(57), "train   40% 4/10 [00:08<00:12, loss=0.5, mem=1.2 GB]");
  EXPECT_EQ(bar.line(47), "train   40% ━━──── 4/10 [00:08<00:12, loss=0.5]");
  EXPECT_EQ(bar.line(32), "train   40% 4/10 [00:08<00:12]");
  bar.set_postfix("loss", "");
  EXPECT_EQ(bar.line(45), "train   40% 4/10 [00:08<00:12, mem=1.2 GB]");
}

TEST(ProgressBar, RedrawsALiveTerminalNotTooOften) {
  Scene scene;
  ProgressBar bar(scene.out, scene.options(true));
  for (int i = 0; i < 10; ++i) {
    scene.time += 0.03;
    bar.advance();
  }
  const std::string text = scene.out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 3);
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  bar.finish();
  EXPECT_EQ(scene.out.str().back(), '\n');
}

TEST(ProgressBar, WritesPlainLinesNowAndThenIntoAFile) {
  Scene scene;
  {
    ProgressBar bar(scene.out, scene.options(false));
    for (int i = 0; i < 10; ++i) {
      scene.time += 3;
      bar.advance();
    }
  }
  EXPECT_EQ(scene.out.str(),
            "train   40% 4/10 [00:12<00:18, 3.00 s/step]\n"
            "train   80% 8/10 [00:24<00:06, 3.00 s/step]\n"
            "train  100% 10/10 [00:30, 3.00 s/step]\n");
}

TEST(ProgressBar, CountsOnlyThisRunForTheRate) {
  Scene scene;
  ProgressOptions options = scene.options(false);
  options.initial = 8;
  ProgressBar bar(scene.out, options);
  scene.time = 4;
  bar.advance();
  EXPECT_THAT(bar.line(100), HasSubstr("9/10 [00:04<00:04, 4.00 s/step]"));
}

TEST(ProgressBar, PutsLinesAboveItself) {
  Scene scene;
  ProgressBar bar(scene.out, scene.options(true));
  bar.write_line("a message");
  EXPECT_THAT(scene.out.str(), HasSubstr("\r\x1b[Ka message\n\rtrain"));
}

TEST(ProgressBar, IsSilentWhereDisabled) {
  Scene scene;
  ProgressOptions options = scene.options(true);
  options.disabled = true;
  {
    ProgressBar bar(scene.out, options);
    scene.time = 100;
    bar.advance(10);
  }
  EXPECT_EQ(scene.out.str(), "");
}

TEST(ProgressBar, CountsWithoutATotal) {
  Scene scene;
  ProgressOptions options = scene.options(false);
  options.total = 0;
  ProgressBar bar(scene.out, options);
  scene.time = 2;
  bar.set_done(10);
  EXPECT_EQ(bar.line(100), "train  10 step [00:02, 5.00 step/s]");
}

TEST(ProgressBar, CountsBytes) {
  Scene scene;
  ProgressOptions options = scene.options(false);
  options.total = 2'000'000;
  options.bytes = true;
  ProgressBar bar(scene.out, options);
  scene.time = 1;
  bar.set_done(1'000'000);
  EXPECT_THAT(bar.line(100), HasSubstr("1.0 MB/2.0 MB [00:01<00:01, 1.0 MB/s]"));
}

TEST(ClockText, GrowsWithTheTime) {
  EXPECT_EQ(clock_text(0), "00:00");
  EXPECT_EQ(clock_text(75.9), "01:15");
  EXPECT_EQ(clock_text(3675), "1:01:15");
  EXPECT_EQ(clock_text(-1), "?");
}

}  // namespace
}  // namespace peft
