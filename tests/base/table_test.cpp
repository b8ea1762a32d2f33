#include "peft/base/table.h"

#include <gtest/gtest.h>

namespace peft {
namespace {

Table sample() {
  Table table({{"name"}, {"size", Table::Align::kRight}});
  table.add_row({"model.embed_tokens.weight", "113 MB"});
  table.add_row({"é", "1 kB"});
  return table;
}

TEST(Table, AlignsItsColumns) {
  EXPECT_EQ(sample().text(),
            "name                         size\n"
            "─────────────────────────  ──────\n"
            "model.embed_tokens.weight  113 MB\n"
            "é                            1 kB\n");
}

TEST(Table, FitsALiveTerminal) {
  Terminal terminal;
  terminal.is_tty = true;
  terminal.width = 20;
  EXPECT_EQ(sample().text(terminal),
            "name            size\n"
            "────────────  ──────\n"
            "model.embed…  113 MB\n"
            "é               1 kB\n");
}

TEST(Table, FillsMissingCells) {
  Table table({{"a"}, {"b"}});
  table.add_row({"1"});
  EXPECT_EQ(table.text(), "a  b\n─  ─\n1\n");
}

}  // namespace
}  // namespace peft
