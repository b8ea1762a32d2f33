#include "peft/tokenizers/jinja/operators.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

[[noreturn]] void no_operation(const std::string& name, const Value& left, const Value& right) {
  check_defined(left);
  check_defined(right);
  throw ConfigError(fmt::format("chat template: '{}' does not work between '{}' and '{}'.", name,
                                left.type_name(), right.type_name()));
}

[[noreturn]] void too_large() {
  throw ConfigError("chat template: an integer becomes too large: expected at most 2^63 - 1.");
}

int64_t floor_quotient(int64_t a, int64_t b) {
  if (b == -1) return a == std::numeric_limits<int64_t>::min() ? (too_large(), 0) : -a;
  const int64_t quotient = a / b;
  return a % b != 0 && ((a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

int64_t floor_remainder(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && ((rest < 0) != (b < 0)) ? rest + b : rest;
}

Value power(int64_t base, int64_t exponent) {
  if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) too_large();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) too_large();
  }
  return result;
}

Value integer_arithmetic(const std::string& name, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (name == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (name == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (name == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (name == "**") {
    return power(a, b);
  } else {
    if (b == 0) throw ConfigError("chat template: division by zero.");
    if (name == "/") return static_cast<double>(a) / static_cast<double>(b);
    return name == "//" ? floor_quotient(a, b) : floor_remainder(a, b);
  }
  if (overflow) too_large();
  return result;
}

Value float_arithmetic(const std::string& name, double a, double b) {
  if (name == "+") return a + b;
  if (name == "-") return a - b;
  if (name == "*") return a * b;
  if (name == "**") return std::pow(a, b);
  if (b == 0) throw ConfigError("chat template: division by zero.");
  if (name == "/") return a / b;
  if (name == "//") return std::floor(a / b);
  const double rest = std::fmod(a, b);
  return rest != 0 && ((rest < 0) != (b < 0)) ? rest + b : rest;
}

Value concatenated(Engine& engine, const Value& left, const Value& right) {
  if (left.is_string()) {
    engine.budget().spend_text(left.text().size() + right.text().size());
    return left.text() + right.text();
  }
  Values items = *left.sequence();
  const Values& more = *right.sequence();
  engine.budget().spend_steps(static_cast<int64_t>(items.size() + more.size()));
  items.insert(items.end(), more.begin(), more.end());
  return left.as<List>() != nullptr ? Value::list(std::move(items))
                                    : Value::tuple(std::move(items));
}

Value repeated(Engine& engine, const Value& value, int64_t times) {
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  if (value.is_string()) {
    engine.budget().spend_text(value.text().size(), count);
    if (value.text().empty()) return value;
    std::string text;
    text.reserve(value.text().size() * count);
    for (size_t i = 0; i < count; ++i) text += value.text();
    return text;
  }
  const Values& once = *value.sequence();
  int64_t total = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(once.size()), static_cast<int64_t>(count),
                             &total))
    too_large();
  engine.budget().spend_steps(total);
  Values items;
  for (int64_t i = 0; i < total; ++i) items.push_back(once[static_cast<size_t>(i) % once.size()]);
  return value.as<List>() != nullptr ? Value::list(std::move(items))
                                     : Value::tuple(std::move(items));
}

bool repeatable(const Value& value) { return value.is_string() || value.sequence() != nullptr; }

bool contains(Engine& engine, const Value& container, const Value& wanted) {
  if (container.is_string()) {
    if (!wanted.is_string()) wrong_type("'in' a str", "str", wanted);
    return container.text().find(wanted.text()) != std::string::npos;
  }
  if (const DictData* dict = container.dict()) return dict->find(wanted) != nullptr;
  for (const Value& item : engine.iterate(container)) {
    if (equal(item, wanted)) return true;
  }
  return false;
}

}  // namespace

Value arithmetic(Engine& engine, const std::string& name, const Value& left, const Value& right) {
  if (left.is_integer() && right.is_integer())
    return integer_arithmetic(name, left.integer(), right.integer());
  if (left.is_number() && right.is_number())
    return float_arithmetic(name, left.number(), right.number());
  if (name == "+" && repeatable(left) && left.storage().index() == right.storage().index())
    return concatenated(engine, left, right);
  if (name == "*" && repeatable(left) && right.is_integer())
    return repeated(engine, left, right.integer());
  if (name == "*" && repeatable(right) && left.is_integer())
    return repeated(engine, right, left.integer());
  if (name == "%" && left.is_string()) return percent_format(engine, left.text(), right);
  no_operation(name, left, right);
}

bool compare(Engine& engine, const std::string& name, const Value& left, const Value& right) {
  engine.budget().spend_on(left);
  engine.budget().spend_on(right);
  if (name == "==") return equal(left, right);
  if (name == "!=") return !equal(left, right);
  if (name == "in") return contains(engine, right, left);
  if (name == "not in") return !contains(engine, right, left);
  // Not by negation alone: every comparison with NaN is false.
  if (name == "<") return less(left, right);
  if (name == ">") return less(right, left);
  if (name == "<=") return less(left, right) || equal(left, right);
  return less(right, left) || equal(left, right);
}

Value negative(const Value& value) {
  if (value.is_integer()) return integer_arithmetic("-", 0, value.integer());
  if (!value.is_number()) wrong_type("'-'", "a number", value);
  return -value.number();
}

Value positive(const Value& value) {
  if (value.is_integer()) return value.integer();
  if (!value.is_number()) wrong_type("'+'", "a number", value);
  return value;
}

}  // namespace peft::jinja
