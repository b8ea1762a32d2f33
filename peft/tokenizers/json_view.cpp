#include "peft/tokenizers/json_view.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::tokenizers {

const Json* JsonView::find(std::string_view key) const {
  if (!json_->is_object()) fail_type("an object");
  const auto& members = json_->get_ref<const Json::object_t&>();
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const auto& member) { return member.first == key; });
  return found == members.end() ? nullptr : &found->second;
}

bool JsonView::has(std::string_view key) const {
  const Json* member = find(key);
  return member != nullptr && !member->is_null();
}

JsonView JsonView::at(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr) fail(fmt::format("the key {} is missing", quote(key)));
  return {*member, fmt::format("{}.{}", where_, key)};
}

std::vector<JsonView> JsonView::items() const {
  if (!json_->is_array()) fail_type("a list");
  std::vector<JsonView> views;
  views.reserve(json_->size());
  for (size_t i = 0; i < json_->size(); ++i) {
    views.emplace_back((*json_)[i], fmt::format("{}[{}]", where_, i));
  }
  return views;
}

std::string JsonView::string() const {
  if (!json_->is_string()) fail_type("a string");
  return json_->get<std::string>();
}

bool JsonView::boolean() const {
  if (!json_->is_boolean()) fail_type("true or false");
  return json_->get<bool>();
}

int64_t JsonView::integer(int64_t limit) const {
  const auto expected = [&] { return fmt::format("an integer from 0 to {}", limit); };
  if (!json_->is_number_integer()) fail_type(expected());
  const bool fits = json_->is_number_unsigned()
                        ? json_->get<uint64_t>() <= static_cast<uint64_t>(limit)
                        : json_->get<int64_t>() >= 0 && json_->get<int64_t>() <= limit;
  if (!fits) fail(fmt::format("out of range: expected {}, got {}", expected(), json_->dump()));
  return json_->get<int64_t>();
}

double JsonView::number() const {
  if (!json_->is_number()) fail_type("a number");
  return json_->get<double>();
}

std::string JsonView::string(std::string_view key, std::string_view fallback) const {
  return has(key) ? at(key).string() : std::string(fallback);
}

bool JsonView::boolean(std::string_view key, bool fallback) const {
  return has(key) ? at(key).boolean() : fallback;
}

void JsonView::fail(const std::string& problem) const {
  throw FormatError(fmt::format("{}: {}. Check the file, or fetch it again.", where_, problem));
}

void JsonView::fail_type(std::string_view expected) const {
  fail(fmt::format("wrong type: expected {}, got {}", expected, json_->type_name()));
}

void fail_unknown_type(const JsonView& stage, std::string_view kind,
                       const std::vector<std::string>& known) {
  throw UnsupportedError(fmt::format(
      "{}: unknown {}: expected one of {}, got {}. Save the tokenizer with those stages only.",
      stage.where(), kind, join_names(known, known.size()), quote(stage.string("type", ""))));
}

}  // namespace peft::tokenizers
