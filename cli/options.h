#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "peft/base/error.h"
#include "peft/base/fields.h"

namespace peft::cli {

/// The command line is wrong; the program ends with exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Runs a check of what the flags say: what it finds wrong is a wrong command line.
/// Throws: UsageError in place of ConfigError.
template <typename Check>
auto checked_flags(Check&& check) {
  try {
    return check();
  } catch (const ConfigError& error) {
    throw UsageError(error.what());
  }
}

/// Further arguments of `field` in an options struct: the flag must be given; or it takes the words
/// that no flag stands before.
struct Required {};
struct Positional {};

enum class FlagKind { kSwitch, kInteger, kNumber, kText, kList };

/// One flag of a command, bound to the member of an options struct.
struct Flag {
  std::string name = {};  // with underscores
  std::string help = {};
  std::string default_value = {};  // as one would type it; empty: none
  FlagKind kind = FlagKind::kText;
  bool required = false;
  bool positional = false;
  /// Sets the member from the words that were given.  Throws: UsageError.
  std::function<void(const std::vector<std::string>&)> assign = {};
};

namespace detail {

FlagKind kind_of(const bool&);
FlagKind kind_of(const int64_t&);
FlagKind kind_of(const double&);
FlagKind kind_of(const std::string&);
FlagKind kind_of(const std::filesystem::path&);
FlagKind kind_of(const std::vector<std::string>&);
FlagKind kind_of(const std::vector<std::filesystem::path>&);
template <typename T>
FlagKind kind_of(const std::optional<T>&) {
  return kind_of(T{});
}

std::string text_of(bool value);
std::string text_of(int64_t value);
std::string text_of(double value);
std::string text_of(const std::string& value);
std::string text_of(const std::filesystem::path& value);
std::string text_of(const std::vector<std::string>& value);
std::string text_of(const std::vector<std::filesystem::path>& value);
template <typename T>
std::string text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : "";
}

using Words = std::vector<std::string>;
void read_words(const Words& words, const std::string& flag, bool& value);
void read_words(const Words& words, const std::string& flag, int64_t& value);
void read_words(const Words& words, const std::string& flag, double& value);
void read_words(const Words& words, const std::string& flag, std::string& value);
void read_words(const Words& words, const std::string& flag, std::filesystem::path& value);
void read_words(const Words& words, const std::string& flag, std::vector<std::string>& value);
void read_words(const Words& words, const std::string& flag,
                std::vector<std::filesystem::path>& value);
template <typename T>
void read_words(const Words& words, const std::string& flag, std::optional<T>& value) {
  T read{};
  read_words(words, flag, read);
  value = std::move(read);
}

}  // namespace detail

/// The flags of a described struct, bound to `options`, which must outlive them.
template <Described Options>
std::vector<Flag> flags_of(Options& options) {
  std::vector<Flag> flags;
  Options::fields(
      options, [&](std::string_view name, auto& value, std::string_view help, auto... marks) {
        Flag flag{.name = std::string(name),
                  .help = std::string(help),
                  .default_value = detail::text_of(value),
                  .kind = detail::kind_of(value),
                  .required = (std::is_same_v<decltype(marks), Required> || ... || false),
                  .positional = (std::is_same_v<decltype(marks), Positional> || ... || false)};
        flag.assign = [&value, written = "--" + flag.name](const detail::Words& words) {
          detail::read_words(words, written, value);
        };
        flags.push_back(std::move(flag));
      });
  return flags;
}

/// Reads a command line into the flags: `--name value`, `--name=value`, `--switch`, `--no_switch`,
/// lists as several words or as a repeated flag; dashes and underscores are the same. `--config
/// FILE.yaml` gives values that the command line overrides. Throws: UsageError, with the closest
/// names where a flag is unknown.
void read_arguments(const std::vector<std::string>& arguments, std::vector<Flag>& flags);

/// The help text of flags, `width` columns wide.
std::string describe_flags(const std::vector<Flag>& flags, size_t width);

/// The same as a Markdown table.
std::string flags_as_markdown(const std::vector<Flag>& flags);

}  // namespace peft::cli
