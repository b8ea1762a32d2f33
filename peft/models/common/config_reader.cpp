#include "peft/models/common/config_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

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

double ConfigReader::probability(const std::string& key, double fallback) const {
  const auto value = number(key, fallback);
  if (value < 0.0 || value > 1.0) refuse(key, "a number from 0 to 1");
  return value;
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

int64_t read_num_labels(const ConfigReader& reader, int64_t fallback) {
  if (!reader.has("id2label")) return reader.size("num_labels", fallback);
  const auto& labels = reader.json().at("id2label");
  if (labels.is_object() && !labels.empty()) return static_cast<int64_t>(labels.size());
  throw ConfigError(fmt::format(
      "{}: id2label: expected an object with one entry for each label, got {}. Compare it with the "
      "checkpoint's own config.json.",
      reader.where(), labels.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 200)));
}

std::optional<int64_t> read_padding(const ConfigReader& reader, int64_t fallback,
                                    int64_t vocab_size) {
  const auto padding = reader.token_id("pad_token_id", fallback);
  if (!padding || *padding < vocab_size) return padding;
  throw ConfigError(fmt::format(
      "{}: pad_token_id: expected a token below vocab_size ({}), got {}. Compare it with the "
      "checkpoint's own config.json.",
      reader.where(), vocab_size, *padding));
}

std::optional<int64_t> read_any_padding(const ConfigReader& reader,
                                        std::optional<int64_t> fallback) {
  const auto found = reader.json().find("pad_token_id");
  if (found == reader.json().end()) return fallback;
  if (found->is_null()) return std::nullopt;
  if (found->is_number_integer()) return found->get<int64_t>();
  throw ConfigError(fmt::format(
      "{}: pad_token_id: expected an integer or null, got {}. Compare it with the checkpoint's own "
      "config.json.",
      reader.where(), found->dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 200)));
}

void check_model_sizes(const ConfigReader& reader, int64_t layers,
                       std::initializer_list<std::initializer_list<int64_t>> weights) {
  constexpr int64_t kMostLayers = 100000, kLargestWeight = int64_t{1} << 40;
  for (const auto& shape : weights) {
    int64_t numbers = 1;
    bool fits = layers <= kMostLayers;
    for (const auto size : shape) {
      fits = fits && size <= kLargestWeight / numbers;
      if (fits) numbers *= size;
    }
    if (fits) continue;
    throw ConfigError(fmt::format(
        "{}: sizes: expected a model that fits a computer, got {} layers and a weight of {}. "
        "Compare them with the checkpoint's own config.json.",
        reader.where(), layers, fmt::join(shape, " x ")));
  }
}

}  // namespace peft
