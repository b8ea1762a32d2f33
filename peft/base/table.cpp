#include "peft/base/table.h"

#include <algorithm>
#include <utility>

namespace peft {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kNarrowest = 8;  // no column is cut below this many columns

std::string aligned(const std::string& cell, size_t width, Table::Align align) {
  const size_t taken = display_width(cell);
  const std::string blanks(width > taken ? width - taken : 0, ' ');
  return align == Table::Align::kLeft ? cell + blanks : blanks + cell;
}

void end_line(std::string& line) {
  line.erase(line.find_last_not_of(' ') + 1);
  line += '\n';
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::add_row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<size_t> Table::widths(const Terminal& terminal) const {
  std::vector<size_t> widths;
  size_t total = 0;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = display_width(columns_[i].heading);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
    widths.push_back(width);
    total += width + (i == 0 ? 0 : kGap);
  }
  const auto limit = static_cast<size_t>(std::max(terminal.current_width(), 1));
  if (!terminal.is_tty || total <= limit) return widths;
  size_t widest = columns_.size();
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].align != Align::kLeft) continue;
    if (widest == columns_.size() || widths[i] > widths[widest]) widest = i;
  }
  if (widest < columns_.size()) {
    const size_t spare = total - limit;
    const size_t cut = widths[widest] > spare ? widths[widest] - spare : 0;
    widths[widest] = std::min(widths[widest], std::max(cut, kNarrowest));
  }
  return widths;
}

std::string Table::text(const Terminal& terminal) const {
  const std::vector<size_t> widths = this->widths(terminal);
  std::string headings, rule, text;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const std::string gap(i == 0 ? 0 : kGap, ' ');
    const std::string heading = fit_width(columns_[i].heading, widths[i], terminal.unicode);
    headings +=
        gap + styled(aligned(heading, widths[i], columns_[i].align), Style::kBold, terminal);
    rule += gap;
    for (size_t k = 0; k < widths[i]; ++k) rule += terminal.unicode ? "─" : "-";
  }
  end_line(headings);
  text += headings + styled(rule, Style::kDim, terminal) + '\n';
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) line.append(kGap, ' ');
      line += aligned(fit_width(row[i], widths[i], terminal.unicode), widths[i], columns_[i].align);
    }
    end_line(line);
    text += line;
  }
  return text;
}

}  // namespace peft
