#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "peft/base/json_fields.h"

namespace peft {

/// A field that names modules: one string is a regular expression (or a word such as "all-linear"),
/// a list is names, and it may be absent.
///
/// Source: the type Optional[Union[list[str], str]] of target_modules in
/// peft/tuners/lora/config.py.
class NamesOrPattern {
 public:
  NamesOrPattern() = default;
  NamesOrPattern(std::nullopt_t) {}
  NamesOrPattern(const char* pattern) : value_(std::string(pattern)) {}
  NamesOrPattern(std::string pattern) : value_(std::move(pattern)) {}
  NamesOrPattern(std::initializer_list<std::string> names)
      : value_(std::vector<std::string>(names)) {}
  NamesOrPattern(std::vector<std::string> names) : value_(std::move(names)) {}

  bool absent() const { return value_.index() == 0; }
  bool is_pattern() const { return value_.index() == 1; }
  bool is_list() const { return value_.index() == 2; }
  /// False where Python's `if value:` would be: absent, an empty string or an empty list.
  bool truthy() const;

  /// The string.  Throws: std::bad_variant_access where it is none.
  const std::string& pattern() const { return std::get<1>(value_); }
  /// The list.  Throws: std::bad_variant_access where it is none.
  const std::vector<std::string>& names() const { return std::get<2>(value_); }

  /// As Python prints it: None, 'a' or ['a', 'b'].
  std::string text() const;

  friend bool operator==(const NamesOrPattern&, const NamesOrPattern&) = default;

 private:
  std::variant<std::monostate, std::string, std::vector<std::string>> value_ = std::monostate{};
};

/// What an adapter is put on.
using TargetModules = NamesOrPattern;

/// One number, a list of numbers, or absent: layers_to_transform.
class LayerIndices {
 public:
  LayerIndices() = default;
  LayerIndices(std::nullopt_t) {}
  LayerIndices(int64_t index) : value_(index) {}
  LayerIndices(int index) : value_(int64_t{index}) {}
  LayerIndices(std::initializer_list<int64_t> indices) : value_(std::vector<int64_t>(indices)) {}
  LayerIndices(std::vector<int64_t> indices) : value_(std::move(indices)) {}

  bool absent() const { return value_.index() == 0; }
  /// False where absent or an empty list: then every layer is meant.
  bool restricts() const;
  bool contains(int64_t index) const;
  std::string text() const;
  const std::variant<std::monostate, int64_t, std::vector<int64_t>>& value() const {
    return value_;
  }

  friend bool operator==(const LayerIndices&, const LayerIndices&) = default;

 private:
  std::variant<std::monostate, int64_t, std::vector<int64_t>> value_ = std::monostate{};
};

/// True, false or a word: init_lora_weights.
class BoolOrString {
 public:
  BoolOrString(bool value) : value_(value) {}
  BoolOrString(const char* word) : value_(std::string(word)) {}
  BoolOrString(std::string word) : value_(std::move(word)) {}

  bool is_bool() const { return value_.index() == 0; }
  bool is(bool value) const { return is_bool() && std::get<0>(value_) == value; }
  /// The word; empty where the value is true or false.
  std::string word() const { return is_bool() ? std::string() : std::get<1>(value_); }
  std::string text() const;
  const std::variant<bool, std::string>& value() const { return value_; }

  friend bool operator==(const BoolOrString&, const BoolOrString&) = default;

 private:
  std::variant<bool, std::string> value_;
};

/// A number that is written as it was given: 8 stays 8, 8.0 stays 8.0.
class Number {
 public:
  Number() = default;
  Number(int value) : value_(value) {}
  Number(int64_t value) : value_(static_cast<double>(value)) {}
  Number(double value) : value_(value), whole_(false) {}

  operator double() const { return value_; }
  bool whole() const { return whole_; }

  friend bool operator==(const Number& a, const Number& b) { return a.value_ == b.value_; }

 private:
  double value_ = 0.0;
  bool whole_ = true;
};

void read_value(const Json& json, NamesOrPattern& value, const FieldPath& path);
void read_value(const Json& json, LayerIndices& value, const FieldPath& path);
void read_value(const Json& json, BoolOrString& value, const FieldPath& path);
void read_value(const Json& json, Number& value, const FieldPath& path);

Json write_value(const NamesOrPattern& value);
Json write_value(const LayerIndices& value);
Json write_value(const BoolOrString& value);
Json write_value(const Number& value);

/// Settings of one run, which no file keeps.
/// Source: LoraRuntimeConfig in peft/tuners/lora/config.py.
struct LoraRuntimeConfig {
  /// Adapters on the CPU are prepared on a GPU and brought back, where that is much work: the norms
  /// that DoRA begins with.
  bool ephemeral_gpu_offload = false;

  friend bool operator==(const LoraRuntimeConfig&, const LoraRuntimeConfig&) = default;
};

}  // namespace peft
