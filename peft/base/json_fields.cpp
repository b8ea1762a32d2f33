#include "peft/base/json_fields.h"

#include <limits>

#include <fmt/format.h>

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft {
namespace {

std::string path_text(const FieldPath& path) {
  return path.key.empty() ? path.where : fmt::format("{}: {}", path.where, path.key);
}

/// The value as JSON on one line, cut where it is long.
std::string short_json(const Json& json) {
  constexpr size_t kLongest = 80;
  std::string text = dump_json(json, {.indent = std::nullopt});
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

}  // namespace

FieldPath FieldPath::child(std::string_view name) const {
  return {where, key.empty() ? std::string(name) : fmt::format("{}.{}", key, name)};
}

FieldPath FieldPath::item(size_t index) const { return {where, fmt::format("{}[{}]", key, index)}; }

void throw_wrong_type(const Json& got, std::string_view expected, const FieldPath& path) {
  throw ConfigError(fmt::format("{}: expected {}{}, got {}.", path_text(path), expected,
                                path.or_null ? " or null" : "", short_json(got)));
}

void read_value(const Json& json, bool& value, const FieldPath& path) {
  if (!json.is_boolean()) throw_wrong_type(json, "true or false", path);
  value = json.get<bool>();
}

void read_value(const Json& json, int64_t& value, const FieldPath& path) {
  const bool too_large = json.is_number_unsigned() &&
                         json.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()};
  if (!json.is_number_integer() || too_large) throw_wrong_type(json, "an integer", path);
  value = json.get<int64_t>();
}

void read_value(const Json& json, int& value, const FieldPath& path) {
  int64_t wide = 0;
  read_value(json, wide, path);
  if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max()) {
    throw_wrong_type(json, "an integer of 32 bits", path);
  }
  value = static_cast<int>(wide);
}

void read_value(const Json& json, double& value, const FieldPath& path) {
  if (!json.is_number()) throw_wrong_type(json, "a number", path);
  value = json.get<double>();
}

void read_value(const Json& json, std::string& value, const FieldPath& path) {
  if (!json.is_string()) throw_wrong_type(json, "a string", path);
  value = json.get<std::string>();
}

void read_value(const Json& json, Json& value, const FieldPath&) { value = json; }

void reject_unknown_keys(const Json& unknown, const std::vector<std::string>& known,
                         const FieldPath& path) {
  if (unknown.empty()) return;
  std::vector<std::string> names;
  for (const auto& [key, ignored] : unknown.items()) names.push_back(key);
  const std::vector<std::string> close = closest_names(names.front(), known);
  throw ConfigError(fmt::format("{}: unknown key{} {}.{}", path_text(path),
                                names.size() > 1 ? "s" : "", join_names(names),
                                close.empty() ? "" : " Closest: " + join_names(close) + "."));
}

}  // namespace peft
