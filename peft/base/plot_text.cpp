#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

#include "peft/base/plot.h"

namespace peft {
namespace {

constexpr int kDotsAcross = 2, kDotsDown = 4;  // of one braille cell
constexpr Style kInks[] = {Style::kCyan, Style::kYellow, Style::kMagenta, Style::kGreen};

struct Dot {
  int x, y;  // y counts downwards
};

/// A grid of braille cells; a cell has the ink of whoever drew in it last.
class Canvas {
 public:
  Canvas(int columns, int rows)
      : columns_(columns), rows_(rows), cells_(static_cast<size_t>(columns) * rows) {}

  int dots_across() const { return columns_ * kDotsAcross; }
  int dots_down() const { return rows_ * kDotsDown; }

  void set(Dot dot, Style ink) {
    if (dot.x < 0 || dot.y < 0 || dot.x >= dots_across() || dot.y >= dots_down()) return;
    static constexpr uint8_t kBits[kDotsDown][kDotsAcross] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    Cell& cell = cells_[static_cast<size_t>(dot.y / kDotsDown) * columns_ + dot.x / kDotsAcross];
    if (cell.ink != ink)
      cell.dots = 0;  // a new line hides an old one, so that its shape stays clear
    cell.dots |= kBits[dot.y % kDotsDown][dot.x % kDotsAcross];
    cell.ink = ink;
  }

  /// A straight line; `dash` above 0 leaves out every other stretch of that many dots.
  void line(Dot from, Dot to, Style ink, int dash) {
    const int steps = std::max({std::abs(to.x - from.x), std::abs(to.y - from.y), 1});
    for (int i = 0; i <= steps; ++i) {
      const Dot dot = {from.x + (to.x - from.x) * i / steps, from.y + (to.y - from.y) * i / steps};
      if (dash == 0 || (dot.x + dot.y) / dash % 2 == 0) set(dot, ink);
    }
  }

  std::string row(int index, const Terminal& terminal) const {
    std::string text;
    for (int i = 0; i < columns_;) {
      const Cell& first = cells_[static_cast<size_t>(index) * columns_ + i];
      std::string run;
      for (; i < columns_; ++i) {
        const Cell& cell = cells_[static_cast<size_t>(index) * columns_ + i];
        if (cell.dots == 0 || first.dots == 0 ? cell.dots != first.dots : cell.ink != first.ink)
          break;
        run += glyph(cell.dots, terminal.unicode);
      }
      text += first.dots == 0 ? run : styled(run, first.ink, terminal);
    }
    return text;
  }

 private:
  struct Cell {
    uint8_t dots = 0;
    Style ink = Style::kDim;
  };

  static std::string glyph(uint8_t dots, bool unicode) {
    if (dots == 0) return " ";
    if (!unicode) return "*";
    const unsigned code = 0x2800u + dots;  // U+2800 is the empty braille pattern
    return {static_cast<char>(0xE2), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
            static_cast<char>(0x80 | (code & 0x3F))};
  }

  int columns_, rows_;
  std::vector<Cell> cells_;
};

std::optional<Dot> place(const Axes& axes, const Canvas& canvas, double x, double y) {
  if (!std::isfinite(x) || !std::isfinite(y)) return {};
  const double across = (x - axes.x.first) / (axes.x.last - axes.x.first);
  const double down = (axes.y.last - y) / (axes.y.last - axes.y.first);
  return Dot{static_cast<int>(std::lround(across * (canvas.dots_across() - 1))),
             static_cast<int>(std::lround(down * (canvas.dots_down() - 1)))};
}

void draw_series(Canvas& canvas, const Axes& axes, const Series& series, size_t index, bool color) {
  const Style ink = kInks[index % std::size(kInks)];
  const int dash =
      color ? 0 : static_cast<int>(index) * 2;  // without colours, dashes tell them apart
  const bool smooth = series.smoothing > 0;
  if (smooth && color) {
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (const auto dot = place(axes, canvas, series.x[i], series.y[i]))
        canvas.set(*dot, Style::kDim);
    }
  }
  const std::vector<double> y = smooth ? smoothed(series.y, series.smoothing) : series.y;
  std::optional<Dot> last;
  for (size_t i = 0; i < series.x.size(); ++i) {
    const std::optional<Dot> dot = place(axes, canvas, series.x[i], y[i]);
    if (dot) canvas.line(last.value_or(*dot), *dot, ink, dash);
    last = dot;
  }
}

/// A line of blanks on which labels are put where they fit, centred on their column.
std::string x_labels(const Axis& axis, int margin, int columns, int width) {
  std::string line(static_cast<size_t>(width), ' ');
  int free_from = 0;
  for (size_t i = 0; i < axis.ticks.size(); ++i) {
    const double share = (axis.ticks[i] - axis.first) / (axis.last - axis.first);
    const int size = static_cast<int>(axis.labels[i].size());
    int begin = margin + static_cast<int>(std::lround(share * (columns - 1))) - size / 2;
    begin = std::min(begin, width - size);
    if (begin < free_from) continue;
    line.replace(static_cast<size_t>(begin), axis.labels[i].size(), axis.labels[i]);
    free_from = begin + size + 1;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string x_line(const Axis& axis, int columns, bool unicode) {
  std::vector<bool> marked(static_cast<size_t>(columns));
  for (const double tick : axis.ticks) {
    const double share = (tick - axis.first) / (axis.last - axis.first);
    marked[static_cast<size_t>(std::lround(share * (columns - 1)))] = true;
  }
  std::string line = unicode ? "└" : "+";
  for (const bool mark : marked) line += unicode ? (mark ? "┬" : "─") : (mark ? "+" : "-");
  return line;
}

std::string centred(const std::string& text, int margin, int columns) {
  const int room = columns - static_cast<int>(display_width(text));
  return std::string(static_cast<size_t>(margin + std::max(room, 0) / 2), ' ') + text;
}

std::string legend(const Figure& figure, const Terminal& terminal) {
  std::string text;
  for (size_t i = 0; i < figure.series.size(); ++i) {
    const std::string mark = terminal.unicode ? (i == 0 || terminal.color ? "━━" : "╺╸") : "**";
    if (!text.empty()) text += "   ";
    text += styled(mark, kInks[i % std::size(kInks)], terminal) + " " + figure.series[i].name;
  }
  return text;
}

}  // namespace

std::string plot_text(const Figure& figure, const TextPlotOptions& options) {
  const Terminal& terminal = options.terminal;
  const int height = std::clamp(options.height, 3, 200);
  const int width = std::clamp(options.width, 20, 400);
  const Axes axes = axes_of(figure, std::max(2, width / 14), std::max(2, height / 3));
  size_t label_width = 0;
  for (const std::string& label : axes.y.labels) label_width = std::max(label_width, label.size());
  const int margin = static_cast<int>(label_width) + 2;  // label, blank, axis
  const int columns = std::max(width - margin, 8);

  Canvas canvas(columns, height);
  for (size_t i = 0; i < figure.series.size(); ++i)
    draw_series(canvas, axes, figure.series[i], i, terminal.color);

  std::vector<std::string> labels(static_cast<size_t>(height));
  for (size_t i = 0; i < axes.y.ticks.size(); ++i) {
    const double down = (axes.y.last - axes.y.ticks[i]) / (axes.y.last - axes.y.first);
    labels[static_cast<size_t>(std::lround(down * (height - 1)))] = axes.y.labels[i];
  }

  std::string text;
  if (!figure.title.empty())
    text += styled(centred(figure.title, margin, columns), Style::kBold, terminal) + '\n';
  if (!figure.y_label.empty()) text += styled(figure.y_label, Style::kDim, terminal) + '\n';
  for (int row = 0; row < height; ++row) {
    const std::string& label = labels[static_cast<size_t>(row)];
    text += std::string(label_width - label.size(), ' ') + label + ' ';
    text += label.empty() ? (terminal.unicode ? "│" : "|") : (terminal.unicode ? "┤" : "+");
    std::string line = canvas.row(row, terminal);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  text += std::string(label_width + 1, ' ') + x_line(axes.x, columns, terminal.unicode) + '\n';
  text += x_labels(axes.x, margin, columns, margin + columns) + '\n';
  if (!figure.x_label.empty())
    text += styled(centred(figure.x_label, margin, columns), Style::kDim, terminal) + '\n';
  if (figure.series.size() > 1)
    text += std::string(static_cast<size_t>(margin), ' ') + legend(figure, terminal) + '\n';
  return text;
}

}  // namespace peft
