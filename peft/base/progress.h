#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "peft/base/terminal.h"

namespace peft {

struct ProgressOptions {
  std::string label = {};
  int64_t total = 0;            // 0: unknown
  int64_t initial = 0;          // done before this run began: counts for the bar, not for the rate
  std::string unit = "it";      // "step", "row", "file"
  bool bytes = false;           // done and total are bytes
  bool show_rate = true;        // units a second; false where a postfix tells the pace
  double redraw_seconds = 0.1;  // least time between two redraws of a live terminal
  double line_seconds = 10;     // time between two lines where the terminal cannot redraw
  Terminal terminal = {};       // where the stream goes
  bool disabled = progress_bars_disabled();
  std::function<double()> clock = {};  // seconds, never going back; empty: the steady clock
};

/// A progress bar in the manner of tqdm, for the stream it is given:
/// `train  42% ━━━━━━━━──────── 105/250 [00:52<01:13, 2.04 step/s, loss=0.321]`.
/// Where the window is narrow, the bar goes first, then the postfixes from the last to the first.
/// A live terminal sees one line that is redrawn; a file or a pipe sees a plain line now and then.
/// All members may be called from any thread.
class ProgressBar {
 public:
  /// `out` must outlive the bar.
  explicit ProgressBar(std::ostream& out, ProgressOptions options = {});
  /// Finishes, so that the next text starts on a line of its own.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Says that `by` more are done.
  void advance(int64_t by = 1);
  /// Says that `done` are done in all.
  void set_done(int64_t done);
  /// Sets or replaces one `key=value` at the line's end; they keep the order of their first use. An
  /// empty value takes it away. It is drawn with the next redraw.
  void set_postfix(const std::string& key, const std::string& value);
  /// Writes a line of its own above the bar.
  void write_line(const std::string& text);
  /// Draws the last state and ends the line. Further calls do nothing.
  void finish();

  /// Seconds since the bar was made, until finish().
  double elapsed_seconds() const;
  /// The line as it would be drawn now in `width` columns, without colour.
  std::string line(int width) const;

 private:
  enum class Ink { kPlain, kColor };

  double now() const;
  double rate() const;
  void note_progress();
  void draw_if_due();
  void draw();
  void clear_line();
  std::string compose(size_t width, Ink ink) const;
  std::string counts() const;
  std::string facts(size_t postfixes) const;
  std::string bar(size_t width, Ink ink) const;

  std::ostream& out_;
  const ProgressOptions options_;
  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> postfix_;
  int64_t done_, noted_done_;
  double start_, noted_time_, last_draw_, end_ = -1;
  double mean_count_ = 0, mean_seconds_ = 0;  // exponential means between draws
  int64_t means_ = 0;
  bool drawn_ = false, finished_ = false;
};

/// 75 -> "01:15", 3675 -> "1:01:15"; "?" for a negative or infinite time.
std::string clock_text(double seconds);

}  // namespace peft
