#include "peft/methods/lora/variants/sub_config.h"

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft::lora {

SubConfig::SubConfig(std::string field, const Json& object, const std::vector<std::string>& known)
    : field_(std::move(field)), object_(object) {
  for (const auto& [key, value] : object_.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw ConfigError("LoraConfig: " + field_ + ": expected keys among " + join_names(known) +
                      ", got '" + key + "'. Correct its spelling, or take it out.");
  }
}

void SubConfig::refuse(const std::string& key, const std::string& expected) const {
  const Json got = object_.contains(key) ? object_[key] : Json(nullptr);
  throw ConfigError("LoraConfig: " + field_ + "." + key + ": expected " + expected + ", got " +
                    dump_json(got, {.indent = std::nullopt}) + ".");
}

std::vector<std::string> SubConfig::names(const std::string& key) const {
  if (!object_.contains(key) || object_[key].is_null()) return {};
  const Json& value = object_[key];
  const bool fits =
      value.is_array() &&
      std::all_of(value.begin(), value.end(), [](const Json& each) { return each.is_string(); });
  if (!fits) refuse(key, "a list of names or null");
  return value.get<std::vector<std::string>>();
}

std::string SubConfig::word(const std::string& key, const std::string& otherwise) const {
  if (!object_.contains(key)) return otherwise;
  if (!object_[key].is_string()) refuse(key, "a word");
  return object_[key].get<std::string>();
}

int64_t SubConfig::integer(const std::string& key, int64_t otherwise) const {
  if (!object_.contains(key)) return otherwise;
  if (!object_[key].is_number_integer()) refuse(key, "an integer");
  return object_[key].get<int64_t>();
}

std::optional<int64_t> SubConfig::optional_integer(const std::string& key) const {
  if (!object_.contains(key) || object_[key].is_null()) return std::nullopt;
  if (!object_[key].is_number_integer()) refuse(key, "an integer or null");
  return object_[key].get<int64_t>();
}

double SubConfig::number(const std::string& key, double otherwise) const {
  if (!object_.contains(key)) return otherwise;
  if (!object_[key].is_number()) refuse(key, "a number");
  return object_[key].get<double>();
}

bool SubConfig::boolean(const std::string& key, bool otherwise) const {
  if (!object_.contains(key)) return otherwise;
  if (!object_[key].is_boolean()) refuse(key, "true or false");
  return object_[key].get<bool>();
}

}  // namespace peft::lora
