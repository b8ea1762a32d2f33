#pragma once

#include <string>

#include "peft/tokenizers/jinja/runtime.h"
#include "peft/tokenizers/jinja/value.h"

namespace peft::jinja {

/// Python's + - * / // % ** on numbers, texts, lists and tuples.
/// Throws: ConfigError for types that have no such operation, division by zero, a result beyond 63
/// bits, or a limit that is passed.
Value arithmetic(Engine& engine, const std::string& name, const Value& left, const Value& right);

/// Python's comparisons, with "in" and "not in".
bool compare(Engine& engine, const std::string& name, const Value& left, const Value& right);

Value negative(const Value& value);
Value positive(const Value& value);

/// Python's `text % arguments`, with the conversions s, r, d, i, f, e, g, x, X, o, c and %%.
std::string percent_format(Engine& engine, const std::string& format, const Value& arguments);

}  // namespace peft::jinja
