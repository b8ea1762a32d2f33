#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/base/json.h"

namespace peft::lora {

/// Reads the settings of a variant, an object inside of adapter_config.json, with messages that
/// name field and key. A key that is left out, or null where names are expected, has its default.
class SubConfig {
 public:
  /// Throws: ConfigError for a key that is not among `known`.
  SubConfig(std::string field, const Json& object, const std::vector<std::string>& known);

  std::vector<std::string> names(const std::string& key) const;
  std::string word(const std::string& key, const std::string& otherwise) const;
  int64_t integer(const std::string& key, int64_t otherwise) const;
  /// nullopt: left out or null.
  std::optional<int64_t> optional_integer(const std::string& key) const;
  double number(const std::string& key, double otherwise) const;
  bool boolean(const std::string& key, bool otherwise) const;

  /// Throws ConfigError with the value that stands there.
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;

 private:
  std::string field_;
  Json object_;
};

}  // namespace peft::lora
