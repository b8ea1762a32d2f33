#include "cli/console.h"

#include <unistd.h>

#include <iostream>

namespace peft::cli {

void Console::result(std::string_view line) const { out << line << '\n'; }

void Console::say(std::string_view line) const { talk << line << std::endl; }

void Console::headline(std::string_view line) const {
  talk << styled(line, Style::kBold, talk_terminal) << std::endl;
}

void Console::warning(std::string_view text) const {
  talk << styled("warning: ", Style::kYellow, talk_terminal) << text << std::endl;
}

Console standard_console() {
  return {.out = std::cout,
          .talk = std::cerr,
          .out_terminal = terminal_of(STDOUT_FILENO),
          .talk_terminal = terminal_of(STDERR_FILENO)};
}

}  // namespace peft::cli
