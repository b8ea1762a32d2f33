#include "peft/tokenizers/jinja/runtime.h"

#include <fmt/format.h>

#include <cstring>

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {

void Budget::spend_steps(int64_t steps) {
  // Compared this way round, as steps_ + steps may not fit.
  if (steps > limits_.steps - steps_)
    throw ConfigError(fmt::format(
        "chat template: it does not come to an end: expected at most {} steps.", limits_.steps));
  steps_ += steps;
}

void Budget::spend_text(size_t bytes) {
  if (bytes > limits_.text_bytes - text_)
    throw ConfigError(fmt::format(
        "chat template: it makes too much text: expected at most {} bytes.", limits_.text_bytes));
  text_ += bytes;
}

void Budget::spend_text(size_t bytes, size_t count) {
  if (count > 0 && bytes > limits_.text_bytes / count) spend_text(limits_.text_bytes + 1);
  spend_text(bytes * count);
}

Budget::Level::Level(Budget& budget) : budget_(budget) {
  if (budget_.depth_ >= budget_.limits_.depth)
    throw ConfigError(fmt::format("chat template: it goes too deep: expected at most {} levels.",
                                  budget_.limits_.depth));
  ++budget_.depth_;
}

Bound::Bound(const Call& call, std::initializer_list<const char*> names)
    : name_(call.name), names_(names), values_(names.size()) {
  if (call.args.size() > names_.size())
    throw ConfigError(
        fmt::format("chat template: {}: too many arguments: expected at most {}, got {}.", name_,
                    names_.size(), call.args.size()));
  for (size_t i = 0; i < call.args.size(); ++i) values_[i] = call.args[i];
  for (const auto& [keyword, value] : call.keywords) {
    size_t index = 0;
    while (index < names_.size() && keyword != names_[index]) ++index;
    if (index == names_.size() || values_[index])
      throw ConfigError(fmt::format("chat template: {}: {} argument '{}'.", name_,
                                    index == names_.size() ? "unknown" : "doubled", keyword));
    values_[index] = value;
  }
}

const Value& Bound::required(size_t index) const {
  if (!values_[index])
    throw ConfigError(
        fmt::format("chat template: {}: argument '{}' is missing.", name_, names_[index]));
  return *values_[index];
}

Value Bound::get(size_t index, Value fallback) const {
  return values_[index] ? *values_[index] : std::move(fallback);
}

std::string Bound::text(size_t index, std::string fallback) const {
  if (!values_[index]) return fallback;
  if (!values_[index]->is_string()) wrong_type(name_, "str", *values_[index]);
  return values_[index]->text();
}

int64_t Bound::integer(size_t index, int64_t fallback) const {
  if (!values_[index]) return fallback;
  if (!values_[index]->is_integer()) wrong_type(name_, "int", *values_[index]);
  return values_[index]->integer();
}

bool Bound::flag(size_t index, bool fallback) const {
  return values_[index] ? values_[index]->truthy() : fallback;
}

void check_defined(const Value& value) {
  const auto* undefined = value.as<Undefined>();
  if (undefined == nullptr) return;
  throw ConfigError("chat template: " +
                    (undefined->why ? *undefined->why : std::string("a value is undefined")) + ".");
}

std::string text_of(Engine& engine, const Value& value) {
  engine.budget().spend_on(value);
  std::string text = to_text(value);
  engine.budget().spend_text(text.size());
  return text;
}

void wrong_type(std::string_view where, std::string_view expected, const Value& value) {
  check_defined(value);
  throw ConfigError(fmt::format("chat template: {}: the type is wrong: expected {}, got {}.", where,
                                expected, value.type_name()));
}

}  // namespace peft::jinja
