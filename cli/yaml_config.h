#pragma once

#include <string>
#include <utility>
#include <vector>

namespace peft::cli {

/// The entries of a YAML file that holds one map of scalars and lists: key (with underscores) and
/// words. An entry without a value is left out.
/// Throws: UsageError naming file and line.
std::vector<std::pair<std::string, std::vector<std::string>>> read_yaml_config(
    const std::string& file);

}  // namespace peft::cli
