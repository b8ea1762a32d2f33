#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "peft/base/terminal.h"

namespace peft::cli {

/// Where a command writes: results go to `out` (stdout), talk to people to `talk` (stderr).
struct Console {
  std::ostream& out;
  std::ostream& talk;
  Terminal out_terminal = {};
  Terminal talk_terminal = {};

  /// One line of a result.
  void result(std::string_view line) const;
  /// One line for people.
  void say(std::string_view line) const;
  /// One line for people, in bold where there are colours.
  void headline(std::string_view line) const;
  /// "warning: ..." for people.
  void warning(std::string_view text) const;
};

/// The console of this process.
Console standard_console();

}  // namespace peft::cli
