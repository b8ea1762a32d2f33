#pragma once

#include <string_view>
#include <unordered_map>

#include "peft/tokenizers/jinja/runtime.h"

namespace peft::jinja {

using FunctionTable = std::unordered_map<std::string_view, Function>;

/// Filters that make texts and numbers, and those that work on lists and dicts.
/// Source: jinja2/filters.py; `tojson` from transformers chat_template_utils.
const FunctionTable& text_filters();
const FunctionTable& list_filters();

/// Follows "a.b.0" into a value; `fallback` stands in wherever a part is undefined.
Value follow(Engine& engine, Value value, const Value& path, const Value* fallback = nullptr);

}  // namespace peft::jinja
