#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "peft/tokenizers/jinja/parser_internal.h"
#include "peft/tokenizers/jinja/runtime.h"

namespace peft::jinja {

ExprPtr Parser::finish(Expr expr) const {
  int depth = 0;
  const auto measure = [&](const ExprPtr& child) {
    if (child) depth = std::max(depth, child->depth);
  };
  for (const ExprPtr& arg : expr.args) measure(arg);
  for (const auto& [name, value] : expr.keywords) measure(value);
  measure(expr.star);
  measure(expr.double_star);
  if (depth >= kMaxTreeDepth)
    fail_at(expr.line,
            fmt::format("an expression is too deep: expected at most {} levels", kMaxTreeDepth));
  expr.depth = depth + 1;
  return std::make_unique<const Expr>(std::move(expr));
}

ExprPtr Parser::binary(ExprKind kind, std::string name, ExprPtr left, ExprPtr right) const {
  Expr expr = node(kind);
  expr.name = std::move(name);
  expr.args.push_back(std::move(left));
  expr.args.push_back(std::move(right));
  return finish(std::move(expr));
}

bool Parser::at_tuple_end(const ExprOptions& options) const {
  const Token& token = current();
  return token.kind == TokenKind::kVariableEnd || token.kind == TokenKind::kBlockEnd ||
         token.is_operator(")") || (!options.end_name.empty() && token.is_name(options.end_name));
}

ExprPtr Parser::parse_tuple(const ExprOptions& options) {
  Expr tuple = node(ExprKind::kTuple);
  bool is_tuple = false;
  while (true) {
    if (!tuple.args.empty()) expect_operator(",");
    if (at_tuple_end(options)) break;
    tuple.args.push_back(options.conditional ? parse_conditional() : parse_or());
    if (!current().is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!tuple.args.empty()) return std::move(tuple.args[0]);
    if (!options.parenthesised) fail_expected("an expression");
  }
  return finish(std::move(tuple));
}

ExprPtr Parser::parse_conditional() {
  const Nesting nesting(*this);
  ExprPtr value = parse_or();
  while (current().is_name("if")) {
    Expr expr = node(ExprKind::kConditional);
    next();
    ++soft_;
    expr.args.push_back(std::move(value));
    expr.args.push_back(parse_or());
    expr.args.push_back(skip_name("else") ? parse_conditional() : nullptr);
    --soft_;
    value = finish(std::move(expr));
  }
  return value;
}

ExprPtr Parser::parse_or() {
  ExprPtr left = parse_and();
  while (skip_name("or")) left = binary(ExprKind::kOr, "or", std::move(left), parse_and());
  return left;
}

ExprPtr Parser::parse_and() {
  ExprPtr left = parse_not();
  while (skip_name("and")) left = binary(ExprKind::kAnd, "and", std::move(left), parse_not());
  return left;
}

ExprPtr Parser::parse_not() {
  if (!current().is_name("not")) return parse_compare();
  const Nesting nesting(*this);
  Expr expr = node(ExprKind::kNot);
  next();
  expr.args.push_back(parse_not());
  return finish(std::move(expr));
}

ExprPtr Parser::parse_compare() {
  static constexpr std::array<std::string_view, 6> kComparisons = {"==", "!=", "<",
                                                                   "<=", ">",  ">="};
  Expr expr = node(ExprKind::kCompare);
  expr.args.push_back(parse_sum());
  while (true) {
    if (current().kind == TokenKind::kOperator &&
        std::find(kComparisons.begin(), kComparisons.end(), current().text) != kComparisons.end()) {
      expr.operators.push_back(next().text);
    } else if (skip_name("in")) {
      expr.operators.emplace_back("in");
    } else if (current().is_name("not") && ahead().is_name("in")) {
      next();
      next();
      expr.operators.emplace_back("not in");
    } else {
      break;
    }
    expr.args.push_back(parse_sum());
  }
  if (expr.operators.empty()) return std::move(expr.args[0]);
  return finish(std::move(expr));
}

ExprPtr Parser::parse_sum() {
  ExprPtr left = parse_concat();
  while (current().is_operator("+") || current().is_operator("-")) {
    std::string name = next().text;
    left = binary(ExprKind::kBinary, std::move(name), std::move(left), parse_concat());
  }
  return left;
}

ExprPtr Parser::parse_concat() {
  Expr expr = node(ExprKind::kConcat);
  expr.args.push_back(parse_product());
  while (skip_operator("~")) expr.args.push_back(parse_product());
  if (expr.args.size() == 1) return std::move(expr.args[0]);
  return finish(std::move(expr));
}

ExprPtr Parser::parse_product() {
  ExprPtr left = parse_power();
  while (current().is_operator("*") || current().is_operator("/") || current().is_operator("//") ||
         current().is_operator("%")) {
    std::string name = next().text;
    left = binary(ExprKind::kBinary, std::move(name), std::move(left), parse_power());
  }
  return left;
}

ExprPtr Parser::parse_power() {
  ExprPtr left = parse_unary(true);
  while (skip_operator("**"))
    left = binary(ExprKind::kBinary, "**", std::move(left), parse_unary(true));
  return left;
}

ExprPtr Parser::parse_unary(bool with_filter) {
  const Nesting nesting(*this);
  ExprPtr expr;
  if (current().is_operator("-") || current().is_operator("+")) {
    Expr sign = node(current().is_operator("-") ? ExprKind::kNegative : ExprKind::kPositive);
    next();
    sign.args.push_back(parse_unary(false));
    expr = finish(std::move(sign));
  } else {
    expr = parse_primary();
  }
  expr = parse_postfix(std::move(expr));
  return with_filter ? parse_filters(std::move(expr)) : std::move(expr);
}

ExprPtr Parser::parse_primary() {
  Expr literal = node(ExprKind::kLiteral);
  switch (current().kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString: {
      std::string text = next().text;
      while (current().kind == TokenKind::kString) text += next().text;
      literal.value = std::move(text);
      return finish(std::move(literal));
    }
    case TokenKind::kInteger:
      literal.value = next().integer;
      return finish(std::move(literal));
    case TokenKind::kFloat:
      literal.value = next().real;
      return finish(std::move(literal));
    default:
      break;
  }
  if (skip_operator("(")) {
    ExprPtr expr = parse_tuple({.parenthesised = true});
    expect_operator(")");
    return expr;
  }
  if (current().is_operator("[")) return parse_list();
  if (current().is_operator("{")) return parse_dict();
  fail_expected("an expression");
}

ExprPtr Parser::parse_name() {
  Expr expr = node(ExprKind::kLiteral);
  std::string name = next().text;
  if (name == "true" || name == "True") {
    expr.value = true;
  } else if (name == "false" || name == "False") {
    expr.value = false;
  } else if (name == "none" || name == "None") {
    expr.value = Value::none();
  } else {
    for (MacroNode* macro : macros_) {
      macro->uses_varargs |= name == "varargs";
      macro->uses_kwargs |= name == "kwargs";
      macro->uses_caller |= name == "caller";
    }
    expr.kind = ExprKind::kName;
    expr.name = std::move(name);
  }
  return finish(std::move(expr));
}

ExprPtr Parser::parse_list() {
  Expr list = node(ExprKind::kList);
  expect_operator("[");
  while (!current().is_operator("]")) {
    if (!list.args.empty()) expect_operator(",");
    if (current().is_operator("]")) break;
    list.args.push_back(parse_expression());
  }
  expect_operator("]");
  return finish(std::move(list));
}

ExprPtr Parser::parse_dict() {
  Expr dict = node(ExprKind::kDict);
  expect_operator("{");
  while (!current().is_operator("}")) {
    if (!dict.args.empty()) expect_operator(",");
    if (current().is_operator("}")) break;
    dict.args.push_back(parse_expression());
    expect_operator(":");
    dict.args.push_back(parse_expression());
  }
  expect_operator("}");
  return finish(std::move(dict));
}

ExprPtr Parser::parse_postfix(ExprPtr expr) {
  while (true) {
    if (current().is_operator(".")) {
      expr = parse_attribute(std::move(expr));
    } else if (current().is_operator("[")) {
      expr = parse_item(std::move(expr));
    } else if (current().is_operator("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr Parser::parse_filters(ExprPtr expr) {
  while (true) {
    if (current().is_operator("|")) {
      expr = parse_filter(std::move(expr), false);
    } else if (current().is_name("is")) {
      expr = parse_test(std::move(expr));
    } else if (current().is_operator("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr Parser::parse_attribute(ExprPtr object) {
  Expr expr = node(ExprKind::kAttribute);
  expect_operator(".");
  expr.args.push_back(std::move(object));
  if (current().kind == TokenKind::kInteger) {
    Expr key = node(ExprKind::kLiteral);
    key.value = next().integer;
    expr.kind = ExprKind::kItem;
    expr.args.push_back(finish(std::move(key)));
  } else {
    expr.name = expect(TokenKind::kName, "a name or a number").text;
  }
  return finish(std::move(expr));
}

ExprPtr Parser::parse_item(ExprPtr object) {
  Expr expr = node(ExprKind::kItem), tuple = node(ExprKind::kTuple);
  expect_operator("[");
  while (!current().is_operator("]")) {
    if (!tuple.args.empty()) expect_operator(",");
    tuple.args.push_back(parse_subscript());
  }
  expect_operator("]");
  expr.args.push_back(std::move(object));
  expr.args.push_back(tuple.args.size() == 1 ? std::move(tuple.args[0]) : finish(std::move(tuple)));
  return finish(std::move(expr));
}

ExprPtr Parser::parse_subscript() {
  Expr slice = node(ExprKind::kSlice);
  const auto at_part_end = [&] {
    return current().is_operator(":") || current().is_operator("]") || current().is_operator(",");
  };
  if (current().is_operator(":")) {
    slice.args.push_back(nullptr);
  } else {
    ExprPtr first = parse_expression();
    if (!current().is_operator(":")) return first;
    slice.args.push_back(std::move(first));
  }
  next();
  slice.args.push_back(at_part_end() ? nullptr : parse_expression());
  ExprPtr step;
  if (skip_operator(":") && !at_part_end()) step = parse_expression();
  slice.args.push_back(std::move(step));
  return finish(std::move(slice));
}

ExprPtr Parser::parse_call(ExprPtr callee) {
  Expr call = node(ExprKind::kCall);
  call.args.push_back(std::move(callee));
  parse_arguments(call);
  return finish(std::move(call));
}

void Parser::parse_arguments(Expr& call) {
  expect_operator("(");
  const auto check = [&](bool allowed) {
    if (!allowed) fail("the order of the arguments of a call is wrong");
  };
  bool comma_due = false;
  while (!current().is_operator(")")) {
    if (comma_due) {
      expect_operator(",");
      if (current().is_operator(")")) break;
    }
    if (skip_operator("*")) {
      check(!call.star && !call.double_star);
      call.star = parse_expression();
    } else if (skip_operator("**")) {
      check(!call.double_star);
      call.double_star = parse_expression();
    } else if (current().kind == TokenKind::kName && ahead().is_operator("=")) {
      check(!call.double_star);
      std::string name = next().text;
      next();
      call.keywords.emplace_back(std::move(name), parse_expression());
    } else {
      check(!call.star && !call.double_star && call.keywords.empty());
      call.args.push_back(parse_expression());
    }
    comma_due = true;
  }
  expect_operator(")");
}

std::string Parser::parse_dotted_name() {
  std::string name = expect(TokenKind::kName, "a name").text;
  while (skip_operator(".")) name += "." + expect(TokenKind::kName, "a name").text;
  return name;
}

ExprPtr Parser::parse_filter(ExprPtr value, bool bar_is_read) {
  while (bar_is_read || current().is_operator("|")) {
    if (!bar_is_read) next();
    bar_is_read = false;
    Expr filter = node(ExprKind::kFilter);
    filter.name = parse_dotted_name();
    if (find_filter(filter.name) == nullptr && soft_ == 0)
      fail_at(filter.line, fmt::format("no filter is named '{}'", filter.name));
    filter.args.push_back(std::move(value));
    if (current().is_operator("(")) parse_arguments(filter);
    value = finish(std::move(filter));
  }
  return value;
}

ExprPtr Parser::parse_test(ExprPtr value) {
  Expr test = node(ExprKind::kTest);
  expect_name("is");
  const bool negated = skip_name("not");
  test.name = parse_dotted_name();
  if (find_test(test.name) == nullptr && soft_ == 0)
    fail_at(test.line, fmt::format("no test is named '{}'", test.name));
  test.args.push_back(std::move(value));
  const Token& token = current();
  const bool takes_argument = token.kind == TokenKind::kName || token.kind == TokenKind::kString ||
                              token.kind == TokenKind::kInteger ||
                              token.kind == TokenKind::kFloat || token.is_operator("[") ||
                              token.is_operator("{");
  const bool ends = token.is_name("else") || token.is_name("or") || token.is_name("and");
  if (token.is_operator("(")) {
    parse_arguments(test);
  } else if (takes_argument && !ends) {
    if (token.is_name("is")) fail("tests cannot be chained with 'is'");
    test.args.push_back(parse_postfix(parse_primary()));
  }
  ExprPtr result = finish(std::move(test));
  if (!negated) return result;
  Expr inverse = node(ExprKind::kNot);
  inverse.args.push_back(std::move(result));
  return finish(std::move(inverse));
}

}  // namespace peft::jinja
