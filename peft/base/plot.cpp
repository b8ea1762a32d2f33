#include "peft/base/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "peft/base/error.h"

namespace peft {
namespace {

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below `rough`.
double nice_step(double rough, bool whole) {
  if (whole) rough = std::max(rough, 1.0);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    const double step = factor * power;
    if (step >= rough * (1 - 1e-9) && !(whole && step != std::round(step))) return step;
  }
  return 10 * power;
}

/// Digits after the point that tell a mark from the next one.
int digits_for(double step) {
  int digits = 0;
  for (double scaled = step; digits < 12 && std::abs(scaled - std::round(scaled)) > 1e-6 * scaled;
       ++digits)
    scaled *= 10;
  return digits;
}

std::string tick_label(double value, double step) {
  if (value == 0 && step >= 1e3) return "0";
  const double size = std::max(std::abs(value), step);
  if (size >= 1e9 || step < 1e-6) return fmt::format("{:.3g}", value);
  if (step >= 1e6) return fmt::format("{:.{}f}M", value / 1e6, digits_for(step / 1e6));
  if (step >= 1e3) return fmt::format("{:.{}f}k", value / 1e3, digits_for(step / 1e3));
  return fmt::format("{:.{}f}", value, digits_for(step));
}

}  // namespace

Axis nice_axis(double low, double high, int wanted, bool whole) {
  if (!std::isfinite(low) || !std::isfinite(high)) low = 0, high = 1;
  if (low > high) std::swap(low, high);
  // Halved first, as the difference of two huge numbers may not fit.
  const double span = high / 2 - low / 2;
  const double size = std::max(std::abs(low), std::abs(high));
  if (span <= size * 1e-9 || span < 1e-300) {
    const double room = size > 0 && !whole ? size * 0.1 : 1;
    low -= room;
    high += room;
  }
  const double step = nice_step(high / std::max(wanted, 1) - low / std::max(wanted, 1), whole);
  const double first = std::floor(low / step + 1e-6), last = std::ceil(high / step - 1e-6);
  Axis axis;
  if (!std::isfinite(first * step) || !std::isfinite(last * step) || last - first > 1000) {
    return Axis{low, high, {low, high}, {fmt::format("{:.3g}", low), fmt::format("{:.3g}", high)}};
  }
  axis.first = first * step;
  axis.last = last * step;
  for (double k = first; k <= last; ++k) {
    const double value = k == 0 ? 0 : k * step;  // never "-0"
    axis.ticks.push_back(value);
    axis.labels.push_back(tick_label(value, step));
  }
  return axis;
}

Axes axes_of(const Figure& figure, int x_ticks, int y_ticks) {
  Range x, y;
  bool whole = true;
  for (const Series& series : figure.series) {
    if (series.x.size() != series.y.size())
      throw ConfigError(
          fmt::format("figure '{}': series '{}' is uneven: expected as many x as y, got {} and {}.",
                      figure.title, series.name, series.x.size(), series.y.size()));
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!std::isfinite(series.x[i]) || !std::isfinite(series.y[i])) continue;
      x.add(series.x[i]);
      whole = whole && series.x[i] == std::round(series.x[i]);
      y.add(series.y[i]);
    }
  }
  return {nice_axis(x.low, x.high, x_ticks, whole), nice_axis(y.low, y.high, y_ticks)};
}

std::vector<double> smoothed(const std::vector<double>& values, double smoothing) {
  const double past = std::clamp(smoothing, 0.0, 0.999);
  std::vector<double> result;
  result.reserve(values.size());
  double mean = 0, weight = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) {
      result.push_back(value);
      continue;
    }
    mean = past * mean + (1 - past) * value;
    weight = past * weight + (1 - past);
    result.push_back(mean / weight);
  }
  return result;
}

std::string sparkline(const std::vector<double>& values, size_t width) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite),
               [](double value) { return std::isfinite(value); });
  const size_t count = std::min(width, finite.size());
  std::vector<double> means;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * finite.size() / count, end = (i + 1) * finite.size() / count;
    double sum = 0;
    for (size_t k = begin; k < end; ++k) sum += finite[k];
    means.push_back(sum / static_cast<double>(end - begin));
  }
  if (means.empty()) return "";
  const auto [low, high] = std::minmax_element(means.begin(), means.end());
  const double span = *high - *low;
  std::string text;
  for (const double mean : means) {
    const double share = span > 0 ? (mean - *low) / span : 0.5;
    text += kBars[static_cast<size_t>(std::clamp(share * 7 + 0.5, 0.0, 7.0))];
  }
  return text;
}

}  // namespace peft
