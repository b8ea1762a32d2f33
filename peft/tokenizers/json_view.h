#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peft/base/json.h"

namespace peft::tokenizers {

/// A part of a tokenizer.json and the way to it, for messages such as
/// "tokenizer.json: pre_tokenizer.pretokenizers[1].behavior: ...".
/// Views the JSON, which must outlive it. Everything that reads throws FormatError.
class JsonView {
 public:
  JsonView(const Json& json, std::string where) : json_(&json), where_(std::move(where)) {}

  const Json& json() const { return *json_; }
  const std::string& where() const { return where_; }
  bool is_null() const { return json_->is_null(); }

  /// True where this is an object with a member of this name that is not null.
  bool has(std::string_view key) const;
  /// A member that must be there (it may be null).
  JsonView at(std::string_view key) const;
  /// The elements of a list.
  std::vector<JsonView> items() const;

  std::string string() const;
  bool boolean() const;
  /// An integer in [0, limit].
  int64_t integer(int64_t limit) const;
  double number() const;

  std::string string(std::string_view key, std::string_view fallback) const;
  bool boolean(std::string_view key, bool fallback) const;

  /// "<where>: <problem>".
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  [[noreturn]] void fail_type(std::string_view expected) const;
  const Json* find(std::string_view key) const;

  const Json* json_;
  std::string where_;
};

/// Throws the UnsupportedError for a stage type that this library does not know.
[[noreturn]] void fail_unknown_type(const JsonView& stage, std::string_view kind,
                                    const std::vector<std::string>& known);

}  // namespace peft::tokenizers
