#pragma once

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "peft/base/fields.h"
#include "peft/base/json.h"

namespace peft {

/// Where a value stands, for messages: "out/adapter_config.json: loftq_config.bits".
struct FieldPath {
  std::string where;     // file or command line
  std::string key;       // dotted
  bool or_null = false;  // null is a value too

  FieldPath child(std::string_view name) const;
  FieldPath item(size_t index) const;
};

/// Throws ConfigError "<where>: <key>: expected <what>[ or null], got <json>."
[[noreturn]] void throw_wrong_type(const Json& got, std::string_view expected,
                                   const FieldPath& path);

// A type of one's own is made readable by overloads of read_value and write_value in its namespace.
void read_value(const Json& json, bool& value, const FieldPath& path);
void read_value(const Json& json, int64_t& value, const FieldPath& path);
void read_value(const Json& json, int& value, const FieldPath& path);
void read_value(const Json& json, double& value, const FieldPath& path);  // also from an integer
void read_value(const Json& json, std::string& value, const FieldPath& path);
void read_value(const Json& json, Json& value, const FieldPath& path);  // anything

template <typename T>
void read_value(const Json& json, std::optional<T>& value, const FieldPath& path);
template <typename T>
void read_value(const Json& json, std::vector<T>& value, const FieldPath& path);
template <typename T>
void read_value(const Json& json, std::map<std::string, T>& value, const FieldPath& path);
template <typename T>
void read_value(const Json& json, std::vector<std::pair<std::string, T>>& value,
                const FieldPath& path);
template <Described T>
void read_value(const Json& json, T& value, const FieldPath& path);

inline Json write_value(bool value) { return value; }
inline Json write_value(int64_t value) { return value; }
inline Json write_value(int value) { return value; }
inline Json write_value(double value) { return value; }
inline Json write_value(const std::string& value) { return value; }
inline Json write_value(const Json& value) { return value; }

template <typename T>
Json write_value(const std::optional<T>& value);
template <typename T>
Json write_value(const std::vector<T>& value);
template <typename T>
Json write_value(const std::map<std::string, T>& value);
template <typename T>
Json write_value(const std::vector<std::pair<std::string, T>>& value);
template <Described T>
Json write_value(const T& value);

/// The entries of `object` that no field of T is called like, in their order.
/// Throws: ConfigError where `object` is not a JSON object.
template <Described T>
Json unknown_keys(const Json& object, const FieldPath& path);

/// Throws ConfigError that names the keys in `unknown` and the closest of `known`, unless empty.
void reject_unknown_keys(const Json& unknown, const std::vector<std::string>& known,
                         const FieldPath& path);

/// Reads a described struct. Absent keys keep their defaults. Keys that no field has are put into
/// `*unknown`, or are an error where it is null.
/// Throws: ConfigError "<where>: <key>: expected <type>, got <json>."
template <Described T>
T from_json(const Json& object, std::string_view where, Json* unknown = nullptr);

/// Writes every field, in their order.
template <Described T>
Json to_json(const T& value) {
  return write_value(value);
}

}  // namespace peft

#include "peft/base/json_fields-inl.h"
