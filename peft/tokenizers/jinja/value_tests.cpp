#include "peft/base/error.h"
#include "peft/tokenizers/jinja/filters.h"
#include "peft/tokenizers/jinja/operators.h"
#include "peft/tokenizers/jinja/text_case.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

const Value& subject(const Call& call) {
  if (call.args.empty())
    throw ConfigError("chat template: " + call.name + ": the value is missing.");
  return call.args[0];
}

const Value& other(const Call& call) {
  if (call.args.size() != 2)
    throw ConfigError("chat template: test '" + call.name + "' takes one argument.");
  return call.args[1];
}

/// A test that is one of Python's comparisons, known here by a name of its own.
template <char kFirst, char kSecond = '\0'>
Value comparison(Call& call) {
  std::string name(1, kFirst);
  if (kSecond != '\0') name += kSecond;
  return compare(call.engine, name, subject(call), other(call));
}

Value is_in(Call& call) { return compare(call.engine, "in", subject(call), other(call)); }
Value boolean(Call& call) { return subject(call).is_bool(); }
Value callable(Call& call) { return subject(call).is_callable(); }
Value defined(Call& call) { return !subject(call).is_undefined(); }
Value undefined(Call& call) { return subject(call).is_undefined(); }
Value none(Call& call) { return subject(call).is_none(); }
Value number(Call& call) { return subject(call).is_number(); }
Value integer(Call& call) { return subject(call).as<int64_t>() != nullptr; }
Value real(Call& call) { return subject(call).as<double>() != nullptr; }
Value string(Call& call) { return subject(call).is_string(); }
Value mapping(Call& call) { return subject(call).dict() != nullptr; }
Value escaped(Call&) { return false; }

Value is_true(Call& call) { return subject(call).is_bool() && subject(call).truthy(); }
Value is_false(Call& call) { return subject(call).is_bool() && !subject(call).truthy(); }

Value sequence(Call& call) {
  const Value& value = subject(call);
  return value.is_string() || value.sequence() != nullptr || value.dict() != nullptr ||
         value.is_undefined();
}

Value iterable(Call& call) {
  const Value& value = subject(call);
  return sequence(call).truthy() || value.as<Generator>() != nullptr ||
         value.as<Loop*>() != nullptr;
}

Value remainder_is(Call& call, const Value& divisor, int64_t wanted) {
  return equal(arithmetic(call.engine, "%", subject(call), divisor), wanted);
}
Value even(Call& call) { return remainder_is(call, int64_t{2}, 0); }
Value odd(Call& call) { return remainder_is(call, int64_t{2}, 1); }
Value divisible_by(Call& call) { return remainder_is(call, other(call), 0); }

Value is_lower(Call& call) {
  return has_only_case(text_of(call.engine, subject(call)), CharClass::kLower);
}
Value is_upper(Call& call) {
  return has_only_case(text_of(call.engine, subject(call)), CharClass::kUpper);
}

/// Python's `is`: the same object. Equal constants of one type are the same.
Value same_as(Call& call) {
  const Value &a = subject(call), &b = other(call);
  if (a.storage().index() != b.storage().index()) return false;
  if (a.as<List>() != nullptr) return a.as<List>()->data == b.as<List>()->data;
  if (a.dict() != nullptr) return a.dict() == b.dict();
  return equal(a, b);
}

Value is_filter(Call& call) {
  return subject(call).is_string() && find_filter(subject(call).text()) != nullptr;
}
Value is_test(Call& call) {
  return subject(call).is_string() && find_test(subject(call).text()) != nullptr;
}

}  // namespace

Function find_test(std::string_view name) {
  static const FunctionTable kTable = {{"==", comparison<'=', '='>},
                                       {"!=", comparison<'!', '='>},
                                       {"<", comparison<'<'>},
                                       {"<=", comparison<'<', '='>},
                                       {">", comparison<'>'>},
                                       {">=", comparison<'>', '='>},
                                       {"boolean", boolean},
                                       {"callable", callable},
                                       {"defined", defined},
                                       {"divisibleby", divisible_by},
                                       {"eq", comparison<'=', '='>},
                                       {"equalto", comparison<'=', '='>},
                                       {"escaped", escaped},
                                       {"even", even},
                                       {"false", is_false},
                                       {"filter", is_filter},
                                       {"float", real},
                                       {"ge", comparison<'>', '='>},
                                       {"greaterthan", comparison<'>'>},
                                       {"gt", comparison<'>'>},
                                       {"in", is_in},
                                       {"integer", integer},
                                       {"iterable", iterable},
                                       {"le", comparison<'<', '='>},
                                       {"lessthan", comparison<'<'>},
                                       {"lower", is_lower},
                                       {"lt", comparison<'<'>},
                                       {"mapping", mapping},
                                       {"ne", comparison<'!', '='>},
                                       {"none", none},
                                       {"number", number},
                                       {"odd", odd},
                                       {"sameas", same_as},
                                       {"sequence", sequence},
                                       {"string", string},
                                       {"test", is_test},
                                       {"true", is_true},
                                       {"undefined", undefined},
                                       {"upper", is_upper}};
  const auto place = kTable.find(name);
  return place == kTable.end() ? nullptr : place->second;
}

}  // namespace peft::jinja
