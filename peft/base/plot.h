#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "peft/base/terminal.h"

namespace peft {

/// One line of a figure. x and y have the same length; a value that is not finite leaves a gap.
struct Series {
  std::string name = {};
  std::vector<double> x = {};
  std::vector<double> y = {};
  /// 0: drawn as it is. Up to 0.999: drawn lightly, with its exponential mean on top (see
  /// smoothed).
  double smoothing = 0;
};

/// A line plot, described once and drawn as text or as SVG.
struct Figure {
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  std::vector<Series> series = {};
};

struct TextPlotOptions {
  int width = 80;   // columns, everything included
  int height = 16;  // rows of the drawing area
  Terminal terminal = {};
};

struct SvgOptions {
  int width = 760;  // pixels
  int height = 440;
};

/// The figure in braille dots (or asterisks where the terminal has no unicode), lines that end with
/// a line end.  Throws: ConfigError where a series has more x than y or the other way round.
std::string plot_text(const Figure& figure, const TextPlotOptions& options = {});

/// The figure as the text of an SVG file that needs no other file; readable on light and dark
/// pages. Throws: ConfigError as plot_text.
std::string plot_svg(const Figure& figure, const SvgOptions& options = {});

/// The values as one row of at most `width` small bars; long rows are averaged.
std::string sparkline(const std::vector<double>& values, size_t width = 24);

/// The exponential mean with weight `smoothing` on the past, corrected for its empty start: the
/// curve that TensorBoard draws. Values that are not finite are passed over.
std::vector<double> smoothed(const std::vector<double>& values, double smoothing);

/// An axis from `first` to `last` with marks at round numbers.
struct Axis {
  double first = 0, last = 1;
  std::vector<double> ticks = {};
  std::vector<std::string> labels = {};  // one for each tick
};

/// The axis that holds low and high with about `wanted` round marks (1, 2, 2.5 or 5 times a power
/// of ten; with `whole` only whole numbers, as steps are). Equal or non-finite limits give an axis
/// round them all the same.
Axis nice_axis(double low, double high, int wanted, bool whole = false);

/// The axes that hold every finite point of the figure. Where every x is a whole number, so are the
/// marks.
struct Axes {
  Axis x, y;
};
Axes axes_of(const Figure& figure, int x_ticks, int y_ticks);

}  // namespace peft
