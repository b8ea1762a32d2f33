#include <ios>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/console.h"
#include "peft/base/process.h"

int main(int count, char** words) {
  std::ios::sync_with_stdio(false);
  peft::keep_freed_memory();
  peft::cli::Console console = peft::cli::standard_console();
  return peft::cli::run_program(std::vector<std::string>(words + 1, words + count), console);
}
