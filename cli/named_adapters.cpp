#include "cli/named_adapters.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/adapter/adapter_rows.h"

namespace peft::cli {

namespace {

// A folder whose own path has the sign in it is taken for what it is.
NamedAdapter read_adapter_word(const std::string& word) {
  const size_t sign = word.find('=');
  std::error_code error;
  const bool named =
      sign != std::string::npos && word.find('/') > sign && !std::filesystem::exists(word, error);
  if (!named) return {.name = "default", .folder = word};
  return {.name = word.substr(0, sign), .folder = word.substr(sign + 1)};
}

}  // namespace

std::vector<NamedAdapter> NamedAdaptersOptions::adapters() const {
  std::vector<NamedAdapter> found;
  for (const std::string& word : adapter) {
    NamedAdapter one = read_adapter_word(word);
    if (one.name.empty() || one.folder.empty()) {
      throw UsageError(fmt::format("--adapter {}: expected DIR or NAME=DIR.", word));
    }
    if (one.name == kBaseRow) {
      throw UsageError(
          fmt::format("--adapter {}: the name {} stands for the base model: expected "
                      "another one.",
                      word, kBaseRow));
    }
    const bool twice = std::any_of(found.begin(), found.end(), [&](const NamedAdapter& other) {
      return other.name == one.name;
    });
    if (twice) {
      throw UsageError(fmt::format(
          "--adapter {}: two adapters are called '{}': expected NAME=DIR with other names.", word,
          one.name));
    }
    found.push_back(std::move(one));
  }
  return found;
}

}  // namespace peft::cli
