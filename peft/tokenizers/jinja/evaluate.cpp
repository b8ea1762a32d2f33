#include <fmt/format.h>

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/interpreter.h"
#include "peft/tokenizers/jinja/operators.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {

Value Interpreter::evaluate(const Expr& expr) {
  budget_.spend_steps();
  const Budget::Level level(budget_);
  switch (expr.kind) {
    case ExprKind::kLiteral:
      return expr.value;
    case ExprKind::kName:
      return evaluate_name(expr);
    case ExprKind::kAttribute:
      return attribute(evaluate(*expr.args[0]), expr.name);
    case ExprKind::kItem:
      return evaluate_item(expr);
    case ExprKind::kSlice:
      throw ConfigError("chat template: a slice stands alone.");
    case ExprKind::kCall:
      return evaluate_call(expr, {});
    case ExprKind::kFilter:
      return evaluate_filter(expr, nullptr);
    case ExprKind::kTest:
      return evaluate_test(expr);
    case ExprKind::kNot:
      return !evaluate(*expr.args[0]).truthy();
    case ExprKind::kNegative:
      return negative(evaluate(*expr.args[0]));
    case ExprKind::kPositive:
      return positive(evaluate(*expr.args[0]));
    case ExprKind::kBinary: {
      const Value left = evaluate(*expr.args[0]);
      return arithmetic(*this, expr.name, left, evaluate(*expr.args[1]));
    }
    case ExprKind::kAnd: {
      Value left = evaluate(*expr.args[0]);
      return left.truthy() ? evaluate(*expr.args[1]) : left;
    }
    case ExprKind::kOr: {
      Value left = evaluate(*expr.args[0]);
      return left.truthy() ? left : evaluate(*expr.args[1]);
    }
    case ExprKind::kConcat:
      return evaluate_concat(expr);
    case ExprKind::kCompare:
      return evaluate_compare(expr);
    case ExprKind::kConditional:
      return evaluate_conditional(expr);
    case ExprKind::kList:
      return Value::list(evaluate_args(expr, 0));
    case ExprKind::kTuple:
      return Value::tuple(evaluate_args(expr, 0));
    case ExprKind::kDict:
      return evaluate_dict(expr);
  }
  return {};
}

Value Interpreter::evaluate_name(const Expr& expr) {
  if (const Value* value = scope_->find(expr.name)) return *value;
  return Value::undefined(fmt::format("'{}' is undefined", expr.name));
}

Value Interpreter::evaluate_item(const Expr& expr) {
  const Value object = evaluate(*expr.args[0]);
  const Expr& key = *expr.args[1];
  return key.kind == ExprKind::kSlice ? sliced(object, key) : item(object, evaluate(key));
}

Value Interpreter::evaluate_concat(const Expr& expr) {
  std::string text;
  for (const ExprPtr& arg : expr.args) text += text_of(*this, evaluate(*arg));
  budget_.spend_text(text.size());
  return text;
}

Value Interpreter::evaluate_compare(const Expr& expr) {
  Value left = evaluate(*expr.args[0]);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = evaluate(*expr.args[i + 1]);
    if (!compare(*this, expr.operators[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluate_conditional(const Expr& expr) {
  if (evaluate(*expr.args[1]).truthy()) return evaluate(*expr.args[0]);
  if (expr.args[2]) return evaluate(*expr.args[2]);
  return Value::undefined("the inline if-expression evaluated to false and no else is given");
}

Value Interpreter::evaluate_dict(const Expr& expr) {
  DictData dict;
  for (size_t i = 0; i < expr.args.size(); i += 2) {
    const Value key = evaluate(*expr.args[i]);
    dict.set(key, evaluate(*expr.args[i + 1]));
  }
  return Value::dict(std::move(dict));
}

/// The values from number `first` on, and those behind a star.
Values Interpreter::evaluate_args(const Expr& expr, size_t first) {
  Values values;
  for (size_t i = first; i < expr.args.size(); ++i) values.push_back(evaluate(*expr.args[i]));
  if (expr.star) {
    for (Value& value : iterate(evaluate(*expr.star))) values.push_back(std::move(value));
  }
  return values;
}

Keywords Interpreter::evaluate_keywords(const Expr& expr) {
  Keywords keywords;
  for (const auto& [name, value] : expr.keywords) keywords.emplace_back(name, evaluate(*value));
  if (!expr.double_star) return keywords;
  const Value more = evaluate(*expr.double_star);
  const DictData* dict = more.dict();
  if (dict == nullptr) wrong_type("'**'", "dict", more);
  for (const auto& [key, value] : dict->entries()) {
    if (!key.is_string()) wrong_type("'**'", "keys of type str", key);
    keywords.emplace_back(key.text(), value);
  }
  return keywords;
}

Value Interpreter::evaluate_call(const Expr& expr, Keywords extra) {
  const Value callee = evaluate(*expr.args[0]);
  Values args = evaluate_args(expr, 1);
  Keywords keywords = evaluate_keywords(expr);
  for (auto& keyword : extra) keywords.push_back(std::move(keyword));
  return call(callee, std::move(args), std::move(keywords));
}

/// `piped` stands in for the missing value at the start of a chain of filters.
Value Interpreter::evaluate_filter(const Expr& expr, const Value* piped) {
  const Budget::Level level(budget_);
  Values args;
  if (!expr.args[0]) {
    args.push_back(*piped);
  } else if (expr.args[0]->kind == ExprKind::kFilter) {
    args.push_back(evaluate_filter(*expr.args[0], piped));
  } else {
    args.push_back(evaluate(*expr.args[0]));
  }
  for (Value& value : evaluate_args(expr, 1)) args.push_back(std::move(value));
  return apply_filter(expr.name, std::move(args), evaluate_keywords(expr));
}

Value Interpreter::evaluate_test(const Expr& expr) {
  return apply_test(expr.name, evaluate_args(expr, 0), evaluate_keywords(expr));
}

Value Interpreter::apply_filter(const std::string& name, Values args, Keywords keywords) {
  budget_.spend_steps();
  const Function filter = find_filter(name);
  if (filter == nullptr)
    throw ConfigError(fmt::format("chat template: no filter is named '{}'.", name));
  Call call{*this, name, std::move(args), std::move(keywords)};
  return filter(call);
}

bool Interpreter::apply_test(const std::string& name, Values args, Keywords keywords) {
  budget_.spend_steps();
  const Function test = find_test(name);
  if (test == nullptr)
    throw ConfigError(fmt::format("chat template: no test is named '{}'.", name));
  Call call{*this, name, std::move(args), std::move(keywords)};
  return test(call).truthy();
}

}  // namespace peft::jinja
