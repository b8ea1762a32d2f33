#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "peft/base/terminal.h"

namespace peft {

/// A table of texts for people: headings, a thin rule, aligned columns two blanks apart.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string heading = {};
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns);

  /// Missing cells are empty; cells beyond the last column are dropped.
  void add_row(std::vector<std::string> cells);

  /// The lines of the table, each ending with a line end. Where they would be wider than a live
  /// terminal, its widest left-aligned column is cut.
  std::string text(const Terminal& terminal = {}) const;

 private:
  std::vector<size_t> widths(const Terminal& terminal) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace peft
