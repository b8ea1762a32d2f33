#include "peft/adapter/config.h"

#include <algorithm>

#include "peft/base/text.h"
#include "peft/base/warnings.h"

namespace peft {

Json PeftConfig::to_json() const {
  Json object = type_->to_json(value_);
  const Json* extra = shared().extra;
  if (extra != nullptr && extra->is_object()) {
    for (const auto& [key, value] : extra->items()) object[key] = value;
  }
  return object;
}

void PeftConfig::throw_other_type(const std::string& wanted) const {
  throw ConfigError("peft_config: the adapter is of another method: expected " + wanted + ", got " +
                    peft_type() + ". Ask for the config type of that method.");
}

namespace detail {

void drop_runtime_config(Json& object, std::string_view where) {
  if (!object.is_object() || object.erase("runtime_config") == 0) return;
  warn(std::string(where) +
       ": the configuration file contains a `runtime_config` key. This is ignored. Runtime "
       "configurations are only valid at runtime.");
}

void warn_of_unknown_keys(const Json& unknown, std::string_view where) {
  if (unknown.empty()) return;
  std::vector<std::string> names;
  for (const auto& [key, value] : unknown.items()) names.push_back(key);
  std::sort(names.begin(), names.end());
  warn(std::string(where) + ": unexpected keys " + join_names(names) +
       " are kept but not used. The file was probably written by a newer version of PEFT.");
}

}  // namespace detail
}  // namespace peft
