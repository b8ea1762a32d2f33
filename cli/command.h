#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/options.h"

namespace peft::cli {

/// How a command ended, as exit codes. A run that a signal stopped ends with 128 + its number.
enum ExitCode { kOk = 0, kFailed = 1, kUsage = 2, kBug = 3 };

/// One verb of the program: a described struct of options and a function.
struct Command {
  std::string name = {};
  std::string summary = {};
  std::string arguments = {};  // of the usage line: "--model_name_or_path M ..."
  /// Its flags with their defaults, for help.
  std::function<std::vector<Flag>()> flags = {};
  /// Throws: UsageError, peft::Error.
  std::function<int(const std::vector<std::string>&, Console&)> run = {};
};

template <Described Options>
Command command(std::string name, std::string summary, std::string arguments,
                int (*function)(const Options&, Console&)) {
  Command result{
      .name = std::move(name), .summary = std::move(summary), .arguments = std::move(arguments)};
  result.flags = [] {
    Options defaults;
    auto flags = flags_of(defaults);
    for (Flag& flag : flags) flag.assign = {};  // it would point into `defaults`
    return flags;
  };
  result.run = [function](const std::vector<std::string>& arguments, Console& console) {
    Options options;
    auto flags = flags_of(options);
    read_arguments(arguments, flags);
    return function(options, console);
  };
  return result;
}

/// Every command, in the order of the help.
const std::vector<Command>& all_commands();

/// Runs the program with its arguments (without its name) and returns the exit code; errors are
/// written to the console.
int run_program(const std::vector<std::string>& arguments, Console& console);

}  // namespace peft::cli
