#include "cli/yaml_config.h"

#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "cli/options.h"
#include "peft/base/text.h"

namespace peft::cli {

namespace {

[[noreturn]] void throw_at(const std::string& file, const YAML::Mark& mark,
                           const std::string& what) {
  throw UsageError(fmt::format("{}:{}: {}", file, mark.line + 1, what));
}

std::vector<std::string> words_of(const YAML::Node& value, const std::string& file,
                                  const std::string& key) {
  if (value.IsScalar()) return {value.Scalar()};
  if (!value.IsSequence()) {
    throw_at(file, value.Mark(), fmt::format("{}: expected a value or a list.", quote(key)));
  }
  std::vector<std::string> words;
  for (const auto& item : value) {
    if (!item.IsScalar()) {
      throw_at(file, item.Mark(), fmt::format("{}: expected a list of single values.", quote(key)));
    }
    words.push_back(item.Scalar());
  }
  return words;
}

YAML::Node load(const std::string& file) {
  try {
    return YAML::LoadFile(file);
  } catch (const YAML::BadFile&) {
    throw UsageError(fmt::format("--config: {} cannot be read.", quote(file)));
  } catch (const YAML::Exception& error) {
    throw_at(file, error.mark, error.msg);
  }
}

}  // namespace

std::vector<std::pair<std::string, std::vector<std::string>>> read_yaml_config(
    const std::string& file) {
  const YAML::Node root = load(file);
  if (root.IsNull()) return {};
  if (!root.IsMap()) throw_at(file, root.Mark(), "expected a map of options and values.");
  std::vector<std::pair<std::string, std::vector<std::string>>> entries;
  std::set<std::string> seen;
  for (const auto& entry : root) {
    if (!entry.first.IsScalar())
      throw_at(file, entry.first.Mark(), "expected the name of an option.");
    std::string key = entry.first.Scalar();
    std::replace(key.begin(), key.end(), '-', '_');  // max-steps and max_steps are one option
    if (!seen.insert(key).second) {
      throw_at(file, entry.first.Mark(), fmt::format("{} is given twice.", quote(key)));
    }
    if (entry.second.IsNull()) continue;
    entries.emplace_back(key, words_of(entry.second, file, key));
  }
  return entries;
}

}  // namespace peft::cli
