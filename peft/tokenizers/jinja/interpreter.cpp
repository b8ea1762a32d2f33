#include "peft/tokenizers/jinja/interpreter.h"

#include <fmt/format.h>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/jinja/value_text.h"

namespace peft::jinja {
namespace {

constexpr int kMaxScopes = 300;      // inside each other
constexpr size_t kObjectCost = 256;  // bytes that a loop, macro or namespace is counted as

}  // namespace

const Value* Scope::find(const std::string& name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    const auto place = scope->names.find(name);
    if (place != scope->names.end()) return &place->second;
  }
  return nullptr;
}

Interpreter::Interpreter(const Limits& limits, Keywords variables) : budget_(limits) {
  auto globals = std::make_shared<Scope>();
  for (const Native& native : global_functions())
    globals->names.emplace(native.name, Value(Value::Storage(&native)));
  for (auto& [name, value] : variables) globals->names.insert_or_assign(name, std::move(value));
  root_ = inner_scope(globals);
  scope_ = root_;
}

std::string Interpreter::run(const Body& body) {
  out_ = &output_;
  execute(body);
  return std::move(output_);
}

Interpreter::ScopePtr Interpreter::inner_scope(ScopePtr parent) const {
  auto scope = std::make_shared<Scope>();
  scope->depth = parent->depth + 1;
  if (scope->depth > kMaxScopes)
    throw ConfigError("chat template: macros are defined too deep inside each other.");
  scope->parent = std::move(parent);
  return scope;
}

void Interpreter::write(std::string_view text) {
  if (text.size() > budget_.limits().output_bytes - out_->size())
    throw ConfigError(fmt::format("chat template: its output is too large: expected at most {}.",
                                  human_bytes(budget_.limits().output_bytes)));
  out_->append(text);
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const auto& statement : body) {
    if (const Flow flow = execute(*statement); flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute(const Statement& statement) {
  budget_.spend_steps();
  const Budget::Level level(budget_);
  switch (statement.kind) {
    case StatementKind::kText:
      write(statement.text);
      break;
    case StatementKind::kOutput:
      for (const ExprPtr& expr : statement.expressions) {
        const Value value = evaluate(*expr);
        write(value.is_string() ? value.text() : text_of(*this, value));
      }
      break;
    case StatementKind::kFor:
      execute_for(statement);
      break;
    case StatementKind::kIf:
      return execute_if(statement);
    case StatementKind::kSet:
      assign(statement.target, evaluate(*statement.expressions[0]));
      break;
    case StatementKind::kSetBlock:
      execute_set_block(statement);
      break;
    case StatementKind::kMacro:
      scope_->names.insert_or_assign(statement.macro->name, define_macro(*statement.macro));
      break;
    case StatementKind::kCallBlock:
      execute_call_block(statement);
      break;
    case StatementKind::kFilterBlock:
      execute_filter_block(statement);
      break;
    case StatementKind::kWith:
      execute_with(statement);
      break;
    case StatementKind::kGeneration:
      execute_generation(statement);
      break;
    case StatementKind::kScope:
      return execute_scoped(statement.body, inner_scope(root_));
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute_if(const Statement& statement) {
  for (const Branch& branch : statement.branches) {
    if (!branch.condition || evaluate(*branch.condition).truthy()) return execute(branch.body);
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::execute_scoped(const Body& body, ScopePtr scope) {
  const ScopePtr outer = std::exchange(scope_, std::move(scope));
  const Flow flow = execute(body);
  scope_ = outer;
  return flow;
}

std::string Interpreter::captured(const Body& body, ScopePtr scope) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  execute_scoped(body, std::move(scope));
  out_ = outer;
  budget_.spend_text(text.size());
  return text;
}

void Interpreter::execute_for(const Statement& statement) {
  const Value iterable = evaluate(*statement.expressions[0]);
  write(run_loop(statement, iterable, 1));
}

/// The items of a for loop that pass its `if`.
Values Interpreter::loop_items(const Statement& statement, const Value& iterable) {
  Values items = iterate(iterable);
  const Expr* condition = statement.expressions[1].get();
  if (condition == nullptr) return items;
  Values kept;
  const ScopePtr outer = scope_;
  for (Value& item : items) {
    scope_ = inner_scope(outer);
    assign(statement.target, item);
    if (evaluate(*condition).truthy()) kept.push_back(std::move(item));
  }
  scope_ = outer;
  return kept;
}

std::string Interpreter::run_loop(const Statement& statement, const Value& iterable, int depth) {
  budget_.spend_text(kObjectCost);
  Loop& loop = loops_.emplace_back();
  loop.items = loop_items(statement, iterable);
  loop.depth = depth;
  loop.statement = &statement;
  loop.scope = scope_;
  // Only a loop that calls itself gives back text; all others write as they go, so that generation
  // blocks know where they are.
  std::string text;
  std::string* const outer_out = out_;
  if (depth > 1) out_ = &text;
  const ScopePtr outer = scope_;
  Flow flow = Flow::kNext;
  for (loop.index = 0; loop.index < loop.items.size() && flow != Flow::kBreak; ++loop.index) {
    budget_.spend_steps();
    scope_ = inner_scope(outer);  // what an iteration sets, the next one does not see
    scope_->names.emplace("loop", Value(Value::Storage(&loop)));
    assign(statement.target, loop.items[loop.index]);
    flow = execute(statement.body);
  }
  scope_ = outer;
  if (loop.items.empty()) execute_scoped(statement.otherwise, inner_scope(outer));
  out_ = outer_out;
  return text;
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.parts.empty()) {
    const Values items = iterate(value);
    if (items.size() != target.parts.size())
      throw ConfigError(fmt::format("chat template: cannot unpack: expected {} values, got {}.",
                                    target.parts.size(), items.size()));
    for (size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
    return;
  }
  if (target.field.empty()) {
    scope_->names.insert_or_assign(target.name, value);
    return;
  }
  const Value* owner = scope_->find(target.name);
  if (owner == nullptr || owner->as<Namespace*>() == nullptr)
    throw ConfigError(
        fmt::format("chat template: cannot assign to '{}.{}': expected a namespace, got {}.",
                    target.name, target.field, owner == nullptr ? "nothing" : owner->type_name()));
  (*owner->as<Namespace*>())->fields.insert_or_assign(target.field, value);
}

void Interpreter::execute_set_block(const Statement& statement) {
  const Value text = captured(statement.body, inner_scope(scope_));
  const Expr* filters = statement.expressions[0].get();
  assign(statement.target, filters == nullptr ? text : evaluate_filter(*filters, &text));
}

void Interpreter::execute_filter_block(const Statement& statement) {
  const Value text = captured(statement.body, inner_scope(scope_));
  write(text_of(*this, evaluate_filter(*statement.expressions[0], &text)));
}

void Interpreter::execute_call_block(const Statement& statement) {
  const Value caller = define_macro(*statement.macro);
  write(text_of(*this, evaluate_call(*statement.expressions[0], {{"caller", caller}})));
}

void Interpreter::execute_with(const Statement& statement) {
  const ScopePtr inner = inner_scope(scope_);
  Values values;
  for (const ExprPtr& expr : statement.expressions) values.push_back(evaluate(*expr));
  const ScopePtr outer = std::exchange(scope_, inner);
  for (size_t i = 0; i < values.size(); ++i) assign(statement.targets[i], values[i]);
  execute(statement.body);
  scope_ = outer;
}

void Interpreter::execute_generation(const Statement& statement) {
  const size_t begin = output_.size();
  const std::string text = captured(statement.body, inner_scope(scope_));
  generation_.emplace_back(begin, begin + text.size());
  write(text);
}

Value Interpreter::define_macro(const MacroNode& node) {
  budget_.spend_text(kObjectCost);
  const Macro& macro = macros_.emplace_back(Macro{&node, scope_});
  return Value(Value::Storage(&macro));
}

Value Interpreter::make_namespace(std::map<std::string, Value> fields) {
  budget_.spend_text(kObjectCost);
  return Value(Value::Storage(&namespaces_.emplace_back(Namespace{std::move(fields)})));
}

}  // namespace peft::jinja
