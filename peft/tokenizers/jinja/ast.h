#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peft/tokenizers/jinja/value.h"

namespace peft::jinja {

enum class ExprKind {
  kLiteral,    // value
  kName,       // name
  kAttribute,  // args[0].name
  kItem,       // args[0][args[1]]
  kSlice,      // args = first, last, step; nullptr where left out; only as an item's key
  kCall,       // args[0](args[1...], keywords, *star, **double_star)
  kFilter,     // args[0] | name(as a call); args[0] nullptr: what a filter block holds
  kTest,       // args[0] is name(as a call)
  kNot,
  kNegative,
  kPositive,
  kBinary,  // args[0] name args[1]; name is the operator
  kAnd,
  kOr,
  kConcat,       // args[0] ~ args[1] ~ ...
  kCompare,      // args[0] operators[0] args[1] operators[1] args[2] ...
  kConditional,  // args = value, condition, otherwise (or nullptr)
  kList,
  kTuple,
  kDict,  // args = key, value, key, value, ...
};

struct Expr;
using ExprPtr = std::unique_ptr<const Expr>;

/// One node of an expression; which members count is said at its kind.
struct Expr {
  ExprKind kind = ExprKind::kLiteral;
  int line = 1;
  int depth = 1;  // of the tree below; bounded, as trees are destroyed and walked by recursion
  std::string name = {};
  Value value = {};
  std::vector<ExprPtr> args = {};
  std::vector<std::string> operators = {};
  std::vector<std::pair<std::string, ExprPtr>> keywords = {};
  ExprPtr star = nullptr, double_star = nullptr;
};

/// What a value is assigned to: a name, a namespace's field, or several of these.
struct Target {
  std::string name = {};
  std::string field = {};  // not empty: name.field
  std::vector<Target> parts = {};
};

enum class StatementKind {
  kText,         // text
  kOutput,       // expressions
  kFor,          // target in expressions[0] if expressions[1]; body, otherwise; recursive
  kIf,           // branches; an empty condition is else
  kSet,          // target = expressions[0]
  kSetBlock,     // target = body through expressions[0], a chain of filters or nullptr
  kMacro,        // macro
  kCallBlock,    // expressions[0] is the call; macro is the caller
  kFilterBlock,  // body through expressions[0]
  kWith,         // targets = expressions; body
  kGeneration,   // body
  kScope,        // body, seeing only the template's own names (block)
  kBreak,
  kContinue,
};

struct Statement;
using Body = std::vector<std::unique_ptr<const Statement>>;

struct Branch {
  ExprPtr condition;
  Body body;
};

/// A macro's parameters (those with defaults come last) and what it does.
struct MacroNode {
  std::string name = {};
  std::vector<std::string> parameters = {};
  std::vector<ExprPtr> defaults = {};
  Body body = {};
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
};

struct Statement {
  StatementKind kind = StatementKind::kText;
  int line = 1;
  std::string text = {};
  Target target = {};
  std::vector<Target> targets = {};
  std::vector<ExprPtr> expressions = {};
  std::vector<Branch> branches = {};
  Body body = {}, otherwise = {};
  std::unique_ptr<const MacroNode> macro = nullptr;
  bool recursive = false;
};

/// Reads a whole template.  Throws: FormatError with the line.
Body parse(std::string_view source);

}  // namespace peft::jinja
