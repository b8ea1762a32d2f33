#include <c10/util/Exception.h>
#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <iostream>

#include "cli/command.h"
#include "cli/commands.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/version.h"

namespace peft::cli {

namespace {

constexpr const char* kIntroduction =
    "Parameter-efficient fine-tuning of language models, in C++.\n\n"
    "  peft COMMAND --help          the flags of a command\n"
    "  peft help --markdown         all of this as Markdown\n"
    "  peft --version\n\n"
    "Flags are written with underscores or dashes. Every command takes --config FILE.yaml, whose\n"
    "values the command line overrides. M is a checkpoint folder, a .gguf file or a repository of\n"
    "the Hub: NAMESPACE/NAME[@REVISION][/SUBFOLDER]. So is an adapter, but for the file.\n"
    "Results go to stdout, talk to stderr. Exit codes: 0 done, 1 failed, 2 wrong command line,\n"
    "3 a bug, 130 and 143 stopped by Ctrl-C and SIGTERM.\n";

const Command* find_command(const std::string& name) {
  const auto& commands = all_commands();
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&](const Command& command) { return command.name == name; });
  return found == commands.end() ? nullptr : &*found;
}

const Command& known_command(const std::string& name) {
  if (const Command* command = find_command(name)) return *command;
  std::vector<std::string> names;
  for (const Command& command : all_commands()) names.push_back(command.name);
  const auto closest = closest_names(name, names);
  throw UsageError(fmt::format("unknown command {}: expected one of {}.{}", quote(name),
                               join_names(names),
                               closest.empty() ? "" : " Closest: " + join_names(closest) + "."));
}

void list_commands(const Console& console) {
  console.result("usage: peft COMMAND [FLAGS]\n");
  for (const Command& command : all_commands()) {
    console.result(fmt::format("  {:<12}{}", command.name, command.summary));
  }
  console.result("");
  console.out << kIntroduction;
}

void describe(const Command& command, const Console& console) {
  console.result(
      fmt::format("usage: peft {} {}\n\n{}\n", command.name, command.arguments, command.summary));
  const int width = console.out_terminal.current_width();
  console.out << describe_flags(command.flags(), static_cast<size_t>(std::clamp(width, 80, 120)));
}

void write_markdown(const Console& console) {
  console.result("# The command line\n\nMade by `peft help --markdown`; do not edit.\n");
  console.out << "```text\n" << kIntroduction << "```\n";
  for (const Command& command : all_commands()) {
    console.result(fmt::format("\n## peft {}\n\n{}\n\n```text\npeft {} {}\n```\n", command.name,
                               command.summary, command.name, command.arguments));
    console.out << flags_as_markdown(command.flags());
  }
}

int help(const std::vector<std::string>& words, const Console& console) {
  if (words.empty()) {
    list_commands(console);
  } else if (words.front() == "--markdown") {
    write_markdown(console);
  } else {
    describe(known_command(words.front()), console);
  }
  return kOk;
}

int dispatch(const std::vector<std::string>& arguments, Console& console) {
  if (arguments.empty()) throw UsageError("no command given.");
  const std::string& name = arguments.front();
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (name == "help" || name == "--help" || name == "-h") return help(rest, console);
  if (name == "--version" || name == "-V" || name == "version") {
    console.result(
        fmt::format("peft {} (follows Python PEFT {})", version(), followed_peft_version()));
    return kOk;
  }
  const Command& command = known_command(name);
  if (std::any_of(rest.begin(), rest.end(),
                  [](const std::string& word) { return word == "--help" || word == "-h"; })) {
    describe(command, console);
    return kOk;
  }
  return command.run(rest, console);
}

void say_error(const Console& console, std::string_view text) {
  console.talk << styled("peft: ", Style::kRed, console.talk_terminal) << text << std::endl;
}

int say_out_of_memory(const Console& console) {
  say_error(console, "out of memory. Use a smaller batch or --gradient_checkpointing.");
  return kFailed;
}

int say_bug(const Console& console, std::string_view text) {
  say_error(console, fmt::format("unexpected: {}\nThis is a bug; please report it.", text));
  return kBug;
}

/// stdout is the result: a command whose result did not arrive has failed.
int checked(int code, const Console& console) {
  console.out.flush();
  if (console.out.good() || code != kOk) return code;
  say_error(console, "stdout: writing the result failed. Is the disk full?");
  return kFailed;
}

}  // namespace

const std::vector<Command>& all_commands() {
  static const std::vector<Command> commands = {
      train_command(),    convert_command(), generate_command(),   predict_command(),
      embed_command(),    score_command(),   merge_command(),      combine_command(),
      tokenize_command(), info_command(),    pull_command(),       push_command(),
      login_command(),    whoami_command(),  quickstart_command(), compare_command(),
      methods_command(),
  };
  return commands;
}

int run_program(const std::vector<std::string>& arguments, Console& console) {
  set_warning_sink([&console](const std::string& text) { console.warning(text); });
  try {
    return checked(dispatch(arguments, console), console);
  } catch (const UsageError& error) {
    say_error(console, error.what());
    console.say(arguments.empty() || find_command(arguments.front()) == nullptr
                    ? "Try: peft help"
                    : fmt::format("Try: peft {} --help", arguments.front()));
    return kUsage;
  } catch (const Error& error) {
    say_error(console, error.what());
    return kFailed;
  } catch (const std::filesystem::filesystem_error& error) {
    say_error(console, fmt::format("{}: {}. Check the path and its permissions.",
                                   error.path1().string(), error.code().message()));
    return kFailed;
  } catch (const std::bad_alloc&) {
    return say_out_of_memory(console);
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    if (text.find("can't allocate memory") != std::string::npos) return say_out_of_memory(console);
    return say_bug(console, text);
  } catch (const std::exception& error) {
    return say_bug(console, error.what());
  }
}

}  // namespace peft::cli
