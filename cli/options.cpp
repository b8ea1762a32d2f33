#include "cli/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "cli/yaml_config.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft::cli {

namespace detail {

FlagKind kind_of(const bool&) { return FlagKind::kSwitch; }
FlagKind kind_of(const int64_t&) { return FlagKind::kInteger; }
FlagKind kind_of(const double&) { return FlagKind::kNumber; }
FlagKind kind_of(const std::string&) { return FlagKind::kText; }
FlagKind kind_of(const std::filesystem::path&) { return FlagKind::kText; }
FlagKind kind_of(const std::vector<std::string>&) { return FlagKind::kList; }
FlagKind kind_of(const std::vector<std::filesystem::path>&) { return FlagKind::kList; }

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(int64_t value) { return std::to_string(value); }
std::string text_of(double value) { return python_float(value); }
std::string text_of(const std::string& value) { return value; }
std::string text_of(const std::filesystem::path& value) { return value.string(); }
std::string text_of(const std::vector<std::string>& value) { return join(value, " "); }
std::string text_of(const std::vector<std::filesystem::path>& value) {
  std::vector<std::string> words;
  for (const auto& path : value) words.push_back(path.string());
  return join(words, " ");
}

namespace {

[[noreturn]] void throw_bad_value(const std::string& flag, std::string_view expected,
                                  const std::string& got) {
  throw UsageError(fmt::format("{}: expected {}, got {}.", flag, expected, quote(got)));
}

const std::string& only_word(const Words& words, const std::string& flag) {
  if (words.size() == 1) return words.front();
  throw UsageError(fmt::format("{}: expected one value, got {}.", flag, words.size()));
}

template <typename Number>
Number number(const std::string& word, const std::string& flag, std::string_view expected) {
  Number result{};
  const char* begin = word.data();
  const char* const end = begin + word.size();
  if (begin != end && *begin == '+') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, result);
  if (error != std::errc() || stop != end) throw_bad_value(flag, expected, word);
  return result;
}

}  // namespace

/// true and false in the spellings that people and YAML use; nullopt for any other word.
static std::optional<bool> truth(const std::string& word) {
  const std::string text = lower_case(word);
  for (const char* yes : {"true", "yes", "on", "1"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"false", "no", "off", "0"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

void read_words(const Words& words, const std::string& flag, bool& value) {
  const auto found = truth(only_word(words, flag));
  if (!found) throw_bad_value(flag, "true or false", words.front());
  value = *found;
}

void read_words(const Words& words, const std::string& flag, int64_t& value) {
  value = number<int64_t>(only_word(words, flag), flag, "a whole number");
}

void read_words(const Words& words, const std::string& flag, double& value) {
  value = number<double>(only_word(words, flag), flag, "a number");
}

void read_words(const Words& words, const std::string& flag, std::string& value) {
  value = only_word(words, flag);
}

void read_words(const Words& words, const std::string& flag, std::filesystem::path& value) {
  value = only_word(words, flag);
}

void read_words(const Words& words, const std::string&, std::vector<std::string>& value) {
  value = words;
}

void read_words(const Words& words, const std::string&, std::vector<std::filesystem::path>& value) {
  value.assign(words.begin(), words.end());
}

}  // namespace detail

namespace {

std::string underscores(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// True for `--x`; `-1`, `-` and `--` alone are values.
bool is_flag(const std::string& word) {
  return word.size() > 2 && word.starts_with("--") &&
         (std::isalpha(static_cast<unsigned char>(word[2])) != 0);
}

Flag* find(std::vector<Flag>& flags, const std::string& name) {
  const auto found = std::find_if(flags.begin(), flags.end(), [&](const Flag& flag) {
    return flag.name == name && !flag.positional;
  });
  return found == flags.end() ? nullptr : &*found;
}

[[noreturn]] void throw_unknown(const std::string& where, const std::string& name,
                                const std::vector<Flag>& flags) {
  std::vector<std::string> known = {"config"};
  for (const Flag& flag : flags) {
    if (!flag.positional) known.push_back(flag.name);
  }
  const auto closest = closest_names(name, known);
  std::string hint = closest.empty() ? "" : fmt::format(" Closest names: {}.", join_names(closest));
  throw UsageError(fmt::format("{}: unknown option {}.{}", where, quote(name), hint));
}

/// The words of a command line, taken apart but not yet assigned.
struct Given {
  std::vector<std::pair<std::string, std::vector<std::string>>> values;  // flag and its words
  std::vector<std::string> positional;
  std::string config;
};

class Splitter {
 public:
  Splitter(const std::vector<std::string>& arguments, std::vector<Flag>& flags)
      : arguments_(arguments), flags_(flags) {}

  Given split() {
    while (next_ < arguments_.size()) {
      const std::string& word = arguments_[next_++];
      if (word == "--") continue;
      if (is_flag(word)) {
        take_flag(word);
      } else {
        given_.positional.push_back(word);
      }
    }
    return std::move(given_);
  }

 private:
  void take_flag(const std::string& word) {
    const size_t equals = word.find('=');
    std::string name =
        underscores(word.substr(2, equals == std::string::npos ? equals : equals - 2));
    std::vector<std::string> words;
    if (equals != std::string::npos) words.push_back(word.substr(equals + 1));
    if (name == "config") {
      if (!given_.config.empty()) throw UsageError("--config: given twice.");
      given_.config = words.empty() ? one_word(name) : words.front();
      return;
    }
    const Flag* flag = find(flags_, name);
    if (flag == nullptr && name.starts_with("no_")) {
      flag = find(flags_, name.substr(3));
      if (flag == nullptr || flag->kind != FlagKind::kSwitch || !words.empty()) {
        throw_unknown("command line", name, flags_);
      }
      given_.values.emplace_back(flag->name, std::vector<std::string>{"false"});
      return;
    }
    if (flag == nullptr) throw_unknown("command line", name, flags_);
    if (words.empty()) words = words_for(*flag);
    given_.values.emplace_back(name, std::move(words));
  }

  std::vector<std::string> words_for(const Flag& flag) {
    if (flag.kind == FlagKind::kSwitch) {
      if (next_ < arguments_.size() && detail::truth(arguments_[next_]))
        return {arguments_[next_++]};
      return {"true"};
    }
    if (flag.kind != FlagKind::kList) return {one_word(flag.name)};
    std::vector<std::string> words;
    while (next_ < arguments_.size() && !is_flag(arguments_[next_])) {
      words.push_back(arguments_[next_++]);
    }
    if (words.empty())
      throw UsageError(fmt::format("--{}: expected at least one value.", flag.name));
    return words;
  }

  const std::string& one_word(const std::string& name) {
    if (next_ >= arguments_.size() || is_flag(arguments_[next_])) {
      throw UsageError(
          fmt::format("--{}: expected a value. Write --{}=VALUE where the value begins "
                      "with two dashes.",
                      name, name));
    }
    return arguments_[next_++];
  }

  const std::vector<std::string>& arguments_;
  std::vector<Flag>& flags_;
  size_t next_ = 0;
  Given given_;
};

void apply_config(const std::string& file, std::vector<Flag>& flags, std::set<std::string>& seen) {
  for (const auto& [key, words] : read_yaml_config(file)) {
    Flag* flag = find(flags, underscores(key));
    if (flag == nullptr) throw_unknown(file, key, flags);
    try {
      flag->assign(words);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", file, error.what()));
    }
    seen.insert(flag->name);
  }
}

void apply_positional(const std::vector<std::string>& words, std::vector<Flag>& flags,
                      std::set<std::string>& seen) {
  if (words.empty()) return;
  for (Flag& flag : flags) {
    if (!flag.positional) continue;
    flag.assign(words);
    seen.insert(flag.name);
    return;
  }
  throw UsageError(
      fmt::format("unexpected word {}: every value needs a flag before it.", quote(words.front())));
}

}  // namespace

void read_arguments(const std::vector<std::string>& arguments, std::vector<Flag>& flags) {
  const Given given = Splitter(arguments, flags).split();
  std::set<std::string> seen;
  if (!given.config.empty()) apply_config(given.config, flags, seen);
  std::map<std::string, detail::Words> on_line;
  for (const auto& [name, words] : given.values) {
    Flag& flag = *find(flags, name);
    auto [all, first] = on_line.try_emplace(name, words);
    if (!first && flag.kind != FlagKind::kList) {
      throw UsageError(fmt::format("--{}: given twice.", name));
    }
    if (!first) all->second.insert(all->second.end(), words.begin(), words.end());
    flag.assign(all->second);
    seen.insert(name);
  }
  apply_positional(given.positional, flags, seen);
  for (const Flag& flag : flags) {
    if (flag.required && !seen.contains(flag.name)) {
      throw UsageError(flag.positional ? fmt::format("nothing to work on: expected {}.", flag.help)
                                       : fmt::format("--{} is missing: {}", flag.name, flag.help));
    }
  }
}

namespace {

std::string value_name(const Flag& flag) {
  switch (flag.kind) {
    case FlagKind::kSwitch:
      return "[true|false]";
    case FlagKind::kInteger:
      return "N";
    case FlagKind::kNumber:
      return "X";
    case FlagKind::kText:
      return "TEXT";
    case FlagKind::kList:
      return "WORD...";
  }
  return "";
}

std::string head_of(const Flag& flag) {
  return flag.positional ? flag.name + "..." : fmt::format("--{} {}", flag.name, value_name(flag));
}

std::string note_of(const Flag& flag) {
  if (flag.required) return " Required.";
  const bool plain = flag.default_value.empty() ||
                     (flag.kind == FlagKind::kSwitch && flag.default_value == "false");
  return plain ? "" : fmt::format(" [{}]", flag.default_value);
}

std::string wrapped(const std::string& text, size_t indent, size_t width) {
  std::string result;
  size_t column = indent;
  for (const std::string& word : split(text, ' ')) {
    if (column > indent && column + 1 + word.size() > width) {
      result += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      result += ' ';
      ++column;
    }
    result += word;
    column += word.size();
  }
  return result;
}

}  // namespace

std::string describe_flags(const std::vector<Flag>& flags, size_t width) {
  constexpr size_t kColumn = 42;
  std::string text;
  for (const Flag& flag : flags) {
    std::string head = "  " + head_of(flag);
    head += head.size() + 2 > kColumn ? "\n" + std::string(kColumn, ' ')
                                      : std::string(kColumn - head.size(), ' ');
    text +=
        head + wrapped(flag.help + note_of(flag), kColumn, std::max(width, kColumn + 30)) + "\n";
  }
  return text;
}

std::string flags_as_markdown(const std::vector<Flag>& flags) {
  const auto escaped = [](std::string text) {
    for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
      text.insert(at, "\\");
    return text;
  };
  if (flags.empty()) return "";
  std::string text = "| flag | default | meaning |\n|---|---|---|\n";
  for (const Flag& flag : flags) {
    const std::string shown =
        flag.required ? "required"
                      : (flag.default_value.empty() ? "" : "`" + escaped(flag.default_value) + "`");
    text += fmt::format("| `{}` | {} | {} |\n", escaped(head_of(flag)), shown, escaped(flag.help));
  }
  return text;
}

}  // namespace peft::cli
