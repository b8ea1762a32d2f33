#include "peft/adapter/config_values.h"

#include <algorithm>
#include <cmath>

namespace peft {
namespace {

std::string list_text(const std::vector<std::string>& names) {
  std::string text = "[";
  for (const std::string& name : names) {
    text += (text.size() > 1 ? ", '" : "'") + name + "'";
  }
  return text + "]";
}

}  // namespace

bool NamesOrPattern::truthy() const {
  return is_pattern() ? !pattern().empty() : is_list() && !names().empty();
}

std::string NamesOrPattern::text() const {
  if (absent()) return "None";
  return is_pattern() ? "'" + pattern() + "'" : list_text(names());
}

bool LayerIndices::restricts() const {
  const auto* list = std::get_if<std::vector<int64_t>>(&value_);
  return list != nullptr ? !list->empty() : !absent();
}

bool LayerIndices::contains(int64_t index) const {
  if (const auto* one = std::get_if<int64_t>(&value_)) return *one == index;
  const auto* list = std::get_if<std::vector<int64_t>>(&value_);
  return list != nullptr && std::find(list->begin(), list->end(), index) != list->end();
}

std::string LayerIndices::text() const {
  if (absent()) return "None";
  if (const auto* one = std::get_if<int64_t>(&value_)) return std::to_string(*one);
  std::string text = "[";
  for (int64_t index : std::get<2>(value_)) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(index);
  }
  return text + "]";
}

std::string BoolOrString::text() const {
  return is_bool() ? (std::get<0>(value_) ? "True" : "False") : "'" + std::get<1>(value_) + "'";
}

void read_value(const Json& json, NamesOrPattern& value, const FieldPath& path) {
  if (json.is_null()) {
    value = NamesOrPattern();
  } else if (json.is_string()) {
    value = NamesOrPattern(json.get<std::string>());
  } else if (json.is_array()) {
    std::vector<std::string> names;
    read_value(json, names, path);
    value = NamesOrPattern(std::move(names));
  } else {
    throw_wrong_type(json, "a string, a list of strings or null", path);
  }
}

void read_value(const Json& json, LayerIndices& value, const FieldPath& path) {
  if (json.is_null()) {
    value = LayerIndices();
  } else if (json.is_array()) {
    std::vector<int64_t> indices;
    read_value(json, indices, path);
    value = LayerIndices(std::move(indices));
  } else if (json.is_number_integer()) {
    value = LayerIndices(json.get<int64_t>());
  } else {
    throw_wrong_type(json, "an integer, a list of integers or null", path);
  }
}

void read_value(const Json& json, BoolOrString& value, const FieldPath& path) {
  if (json.is_boolean()) {
    value = BoolOrString(json.get<bool>());
  } else if (json.is_string()) {
    value = BoolOrString(json.get<std::string>());
  } else {
    throw_wrong_type(json, "true, false or a string", path);
  }
}

void read_value(const Json& json, Number& value, const FieldPath& path) {
  if (json.is_number_integer()) {
    value = Number(json.get<int64_t>());
  } else if (json.is_number()) {
    value = Number(json.get<double>());
  } else {
    throw_wrong_type(json, "a number", path);
  }
}

Json write_value(const NamesOrPattern& value) {
  if (value.absent()) return nullptr;
  return value.is_pattern() ? Json(value.pattern()) : Json(value.names());
}

Json write_value(const LayerIndices& value) {
  if (value.absent()) return nullptr;
  if (const auto* one = std::get_if<int64_t>(&value.value())) return *one;
  return std::get<2>(value.value());
}

Json write_value(const BoolOrString& value) {
  return value.is_bool() ? Json(value.is(true)) : Json(value.word());
}

Json write_value(const Number& value) {
  return value.whole() ? Json(static_cast<int64_t>(value)) : Json(static_cast<double>(value));
}

}  // namespace peft
