#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace peft {

/// What the terminal behind a stream can show. The default is a file or a pipe: plain text, 80
/// wide.
struct Terminal {
  bool is_tty = false;
  bool can_redraw = false;  // a tty that moves its cursor: not TERM=dumb
  bool color = false;       // can_redraw, and NO_COLOR is not set
  bool unicode = true;      // the locale does not name another character set than UTF-8
  int width = 80;           // columns
  int descriptor = -1;      // asked again by current_width(); -1: never

  /// Columns now, as the user may have resized the window since.
  int current_width() const;
};

/// Looks up an environment variable; nullptr where it is not set.
using Environment = std::function<const char*(const char* name)>;

/// A variable's value; empty where it is not set.
std::string value_of(const Environment& environment, const char* name);

/// Asks the system about an open file descriptor (2 is stderr).
Terminal terminal_of(int descriptor);

/// The rules behind terminal_of, with everything that it asks for given.
/// `columns` is the width that the terminal reports, 0 where it does not.
Terminal describe_terminal(bool is_tty, int columns, const Environment& environment);

/// True where HF_HUB_DISABLE_PROGRESS_BARS is 1, true, yes or on.
/// Source: huggingface_hub/constants.py, HF_HUB_DISABLE_PROGRESS_BARS.
bool progress_bars_disabled();

/// Columns that a UTF-8 text takes: 2 for wide characters, 0 for combining ones and for colour
/// codes.
size_t display_width(std::string_view text);

/// The text cut to `width` columns, its last one an ellipsis where something was cut off.
std::string fit_width(std::string_view text, size_t width, bool unicode = true);

enum class Style { kBold, kDim, kRed, kGreen, kYellow, kBlue, kMagenta, kCyan };

/// The text in a style where the terminal has colours, otherwise the text itself.
std::string styled(std::string_view text, Style style, const Terminal& terminal);

}  // namespace peft
