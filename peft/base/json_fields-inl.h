#pragma once

// The templates of json_fields.h; include that one.

#include "peft/base/json_fields.h"

namespace peft {

template <typename T>
void read_value(const Json& json, std::optional<T>& value, const FieldPath& path) {
  if (json.is_null()) {
    value.reset();
  } else {
    T inner{};
    FieldPath nullable = path;
    nullable.or_null = true;
    read_value(json, inner, nullable);
    value = std::move(inner);
  }
}

template <typename T>
void read_value(const Json& json, std::vector<T>& value, const FieldPath& path) {
  if (!json.is_array()) throw_wrong_type(json, "a list", path);
  std::vector<T> items(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    T item{};
    read_value(json[i], item, path.item(i));
    items[i] = std::move(item);
  }
  value = std::move(items);
}

template <typename T>
void read_value(const Json& json, std::map<std::string, T>& value, const FieldPath& path) {
  if (!json.is_object()) throw_wrong_type(json, "an object", path);
  std::map<std::string, T> entries;
  for (const auto& [key, inner] : json.items()) read_value(inner, entries[key], path.child(key));
  value = std::move(entries);
}

template <typename T>
void read_value(const Json& json, std::vector<std::pair<std::string, T>>& value,
                const FieldPath& path) {
  if (!json.is_object()) throw_wrong_type(json, "an object", path);
  std::vector<std::pair<std::string, T>> entries;
  for (const auto& [key, inner] : json.items()) {
    entries.emplace_back(key, T{});
    read_value(inner, entries.back().second, path.child(key));
  }
  value = std::move(entries);
}

template <Described T>
void read_value(const Json& json, T& value, const FieldPath& path) {
  Json unknown = unknown_keys<T>(json, path);
  std::vector<std::string> known;
  T result = value;
  T::fields(result, [&](std::string_view key, auto& member, std::string_view, auto&&...) {
    known.emplace_back(key);
    const auto found = json.find(std::string(key));
    if (found != json.end()) read_value(*found, member, path.child(key));
  });
  reject_unknown_keys(unknown, known, path);
  value = std::move(result);
}

template <typename T>
Json write_value(const std::optional<T>& value) {
  return value ? write_value(*value) : Json(nullptr);
}

template <typename T>
Json write_value(const std::vector<T>& value) {
  Json list = Json::array();
  for (const auto& item : value) list.push_back(write_value(static_cast<const T&>(item)));
  return list;
}

template <typename T>
Json write_value(const std::map<std::string, T>& value) {
  Json object = Json::object();
  for (const auto& [key, inner] : value) object[key] = write_value(inner);
  return object;
}

template <typename T>
Json write_value(const std::vector<std::pair<std::string, T>>& value) {
  Json object = Json::object();
  for (const auto& [key, inner] : value) object[key] = write_value(inner);
  return object;
}

template <Described T>
Json write_value(const T& value) {
  Json object = Json::object();
  T::fields(value, [&](std::string_view key, const auto& member, std::string_view, auto&&...) {
    object[std::string(key)] = write_value(member);
  });
  return object;
}

template <Described T>
Json unknown_keys(const Json& object, const FieldPath& path) {
  if (!object.is_object()) throw_wrong_type(object, "an object", path);
  Json rest = object;
  T defaults{};
  T::fields(defaults, [&](std::string_view key, auto&, std::string_view, auto&&...) {
    rest.erase(std::string(key));
  });
  return rest;
}

template <Described T>
T from_json(const Json& object, std::string_view where, Json* unknown) {
  const FieldPath path{std::string(where), ""};
  T value{};
  if (unknown == nullptr) {
    read_value(object, value, path);
    return value;
  }
  Json rest = unknown_keys<T>(object, path);
  Json known = object;
  for (const auto& [key, ignored] : rest.items()) known.erase(key);
  read_value(known, value, path);
  *unknown = std::move(rest);
  return value;
}

}  // namespace peft
