#include "peft/models/common/config_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "peft/base/error.h"

namespace peft {
namespace {

constexpr int64_t kLargestSize = 0x7fffffff;

}  // namespace

ConfigReader::ConfigReader(const Json& json, std::string where)
    : json_(json), where_(std::move(where)) {
  if (!json_.is_object()) {
    throw ConfigError(fmt::format("{}: not a model's configuration: expected an object, got {}.",
                                  where_, json_.type_name()));
  }
}

void ConfigReader::refuse(const std::string& key, const std::string& expected) const {
  const std::string got = json_.contains(key)
                              ? json_.at(key).dump(-1, ' ', false, Json::error_handler_t::replace)
                              : "nothing";
  throw ConfigError(
      fmt::format("{}: {}: expected {}, got {}. Compare it with the checkpoint's own "
                  "config.json.",
                  where_, key, expected, got.substr(0, 200)));
}

bool ConfigReader::has(const std::string& key) const {
  return json_.contains(key) && !json_.at(key).is_null();
}

int64_t ConfigReader::size(const std::string& key, std::optional<int64_t> fallback) const {
  if (!has(key) && fallback) return *fallback;
  const auto expected = "an integer from 1 to 2147483647";
  if (!has(key) || !json_.at(key).is_number_integer()) refuse(key, expected);
  const auto& value = json_.at(key);
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(kLargestSize)) {
    refuse(key, expected);
  }
  const auto size = value.get<int64_t>();
  if (size < 1 || size > kLargestSize) refuse(key, expected);
  return size;
}

std::optional<int64_t> ConfigReader::token_id(const std::string& key,
                                              std::optional<int64_t> fallback) const {
  if (!json_.contains(key)) return fallback;
  if (!has(key)) return std::nullopt;
  const auto& value = json_.at(key);
  if (value.is_number_integer() && value >= 0 && value <= kLargestSize) return value.get<int64_t>();
  refuse(key, "the number of a token, from 0 to 2147483647");
}

double ConfigReader::number(const std::string& key, std::optional<double> fallback) const {
  if (!has(key) && fallback) return *fallback;
  if (!has(key) || !json_.at(key).is_number()) refuse(key, "a number");
  const auto number = json_.at(key).get<double>();
  if (!std::isfinite(number)) refuse(key, "a finite number");
  return number;
}

bool ConfigReader::flag(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!json_.at(key).is_boolean()) refuse(key, "true or false");
  return json_.at(key).get<bool>();
}

std::string ConfigReader::text(const std::string& key, std::optional<std::string> fallback) const {
  if (!has(key) && fallback) return *fallback;
  if (!has(key) || !json_.at(key).is_string()) refuse(key, "a string");
  return json_.at(key).get<std::string>();
}

}  // namespace peft
