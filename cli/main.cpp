#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/console.h"
#include "peft/base/process.h"

int main(int count, char** words) {
  std::ios::sync_with_stdio(false);
  peft::keep_freed_memory();
  peft::cli::Console console = peft::cli::standard_console();
  const int code =
      peft::cli::run_program(std::vector<std::string>(words + 1, words + count), console);
  std::cout.flush();
  std::cerr.flush();
  // Everything is written. libtorch takes a tenth of a second to take its registries down, which
  // the system does at once.
  std::_Exit(code);
}
