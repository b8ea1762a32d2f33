#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "peft/base/plot.h"

namespace peft {
namespace {

// Blue, orange, teal, purple: told apart by colour-blind readers, on white and on near-black.
constexpr const char* kColors[] = {"#2f7fd6", "#e07b26", "#1fa187", "#a25ddc"};
constexpr int kLetter = 7;  // about the width of a letter of the labels, in pixels

constexpr const char* kStyle = R"(  <style>
    text { font-family: Inter, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; fill: #3c4450; }
    .page { fill: #ffffff; } .grid { stroke: #e4e8ee; } .axis { stroke: #8a94a3; }
    .title { font-size: 17px; font-weight: 600; fill: #1d2430; }
    .label { font-size: 13px; } .tick { font-size: 12px; }
    .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
    .raw { fill: none; stroke-width: 1; stroke-opacity: 0.35; stroke-linejoin: round; }
    @media (prefers-color-scheme: dark) {
      .page { fill: #14181f; } .grid { stroke: #2a313c; } .axis { stroke: #6b7686; }
      text { fill: #b9c2cf; } .title { fill: #eef1f5; }
    }
  </style>
)";

/// Where the drawing area lies on the page, in pixels, and what it shows.
struct Frame {
  double left, top, right, bottom;
  Axes axes;

  double x(double value) const {
    return left + (value - axes.x.first) / (axes.x.last - axes.x.first) * (right - left);
  }
  double y(double value) const {
    return bottom - (value - axes.y.first) / (axes.y.last - axes.y.first) * (bottom - top);
  }
};

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        // XML 1.0 allows no other control characters at all.
        result += static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' ? ' ' : c;
    }
  }
  return result;
}

std::string text_at(double x, double y, const char* kind, const char* anchor,
                    const std::string& text) {
  return fmt::format(
      "  <text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", kind, x, y,
      anchor, escaped(text));
}

std::string line_at(const char* kind, double x1, double y1, double x2, double y2) {
  return fmt::format(
      "  <line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kind, x1,
      y1, x2, y2);
}

std::string grid(const Frame& frame) {
  std::string svg;
  for (size_t i = 0; i < frame.axes.y.ticks.size(); ++i) {
    const double y = frame.y(frame.axes.y.ticks[i]);
    if (i > 0) svg += line_at("grid", frame.left, y, frame.right, y);
    svg += text_at(frame.left - 9, y + 4, "tick", "end", frame.axes.y.labels[i]);
  }
  for (size_t i = 0; i < frame.axes.x.ticks.size(); ++i) {
    const double x = frame.x(frame.axes.x.ticks[i]);
    svg += line_at("axis", x, frame.bottom, x, frame.bottom + 5);
    svg += text_at(x, frame.bottom + 20, "tick", "middle", frame.axes.x.labels[i]);
  }
  return svg + line_at("axis", frame.left, frame.bottom, frame.right, frame.bottom);
}

/// A path through the points; it starts anew behind every gap. A point between two gaps becomes a
/// stroke of no length, which the round caps draw as a dot.
std::string path(const Frame& frame, const std::vector<double>& x, const std::vector<double>& y,
                 const char* kind, const char* color) {
  std::string steps;
  bool pen_down = false;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool drawn = std::isfinite(x[i]) && std::isfinite(y[i]);
    if (drawn) {
      const std::string point = fmt::format("{:.1f} {:.1f}", frame.x(x[i]), frame.y(y[i]));
      steps += pen_down ? "L" + point : "M" + point + "L" + point;
    }
    pen_down = drawn;
  }
  if (steps.empty()) return "";
  return fmt::format("  <path class=\"{}\" stroke=\"{}\" d=\"{}\"/>\n", kind, color, steps);
}

std::string lines(const Frame& frame, const Figure& figure) {
  std::string raw, top;
  for (size_t i = 0; i < figure.series.size(); ++i) {
    const Series& series = figure.series[i];
    const char* color = kColors[i % std::size(kColors)];
    if (series.smoothing > 0) {
      raw += path(frame, series.x, series.y, "raw", color);
      top += path(frame, series.x, smoothed(series.y, series.smoothing), "line", color);
    } else {
      top += path(frame, series.x, series.y, "line", color);
    }
  }
  return raw + top;
}

/// One row above the drawing area, from its right end to the left.
std::string legend(const Frame& frame, const Figure& figure) {
  std::string svg;
  double right = frame.right;
  for (size_t i = figure.series.size(); i-- > 0;) {
    const std::string& name = figure.series[i].name;
    if (name.empty()) continue;
    const double left = right - static_cast<double>(display_width(name)) * kLetter;
    svg += text_at(left, frame.top - 14, "label", "start", name);
    svg += fmt::format(
        "  <line class=\"line\" stroke=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" "
        "y2=\"{:.1f}\"/>\n",
        kColors[i % std::size(kColors)], left - 26, frame.top - 18.5, left - 8, frame.top - 18.5);
    right = left - 42;
  }
  return svg;
}

Frame frame_of(const Figure& figure, int width, int height) {
  Frame frame;
  frame.axes = axes_of(figure, std::max(2, width / 95), std::max(2, height / 75));
  size_t letters = 0;
  for (const std::string& label : frame.axes.y.labels) letters = std::max(letters, label.size());
  frame.left = 24 + static_cast<double>(letters) * kLetter + (figure.y_label.empty() ? 0 : 22);
  frame.top = 62;
  frame.right = width - 28;
  frame.bottom = height - (figure.x_label.empty() ? 36 : 56);
  return frame;
}

}  // namespace

std::string plot_svg(const Figure& figure, const SvgOptions& options) {
  const int width = std::clamp(options.width, 240, 10000);
  const int height = std::clamp(options.height, 160, 10000);
  const Frame frame = frame_of(figure, width, height);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" role=\"img\">\n  <title>{2}</title>\n",
      width, height, escaped(figure.title));
  svg += kStyle;
  svg +=
      fmt::format("  <rect class=\"page\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n", width, height);
  svg += text_at(frame.left, 34, "title", "start", figure.title);
  svg += grid(frame) + lines(frame, figure) + legend(frame, figure);
  if (!figure.x_label.empty())
    svg += text_at((frame.left + frame.right) / 2, height - 14, "label", "middle", figure.x_label);
  if (!figure.y_label.empty()) {
    const double middle = (frame.top + frame.bottom) / 2;
    svg += fmt::format(
        "  <text class=\"label\" text-anchor=\"middle\" "
        "transform=\"translate(24 {:.1f}) rotate(-90)\">{}</text>\n",
        middle, escaped(figure.y_label));
  }
  return svg + "</svg>\n";
}

}  // namespace peft
