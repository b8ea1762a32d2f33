#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "peft/tokenizers/jinja/ast.h"
#include "peft/tokenizers/jinja/runtime.h"

namespace peft::jinja {

/// The names of one block; those of the blocks around it are seen through it.
struct Scope {
  std::shared_ptr<Scope> parent;
  int depth = 0;
  std::unordered_map<std::string, Value> names = {};

  const Value* find(const std::string& name) const;
};

/// A macro with the scope that it was written in.
struct Macro {
  const MacroNode* node;
  std::shared_ptr<Scope> scope;
};

/// The `loop` of a for loop.
struct Loop {
  Values items;
  size_t index = 0;
  int depth = 1;
  const Statement* statement = nullptr;
  std::shared_ptr<Scope> scope;  // around the loop, for recursive ones
  Values changed = {};           // what loop.changed saw last
};

/// Carries out one template once.
/// Source: jinja2/compiler.py, runtime.py; sandbox.py ImmutableSandboxedEnvironment
class Interpreter final : public Engine {
 public:
  Interpreter(const Limits& limits, Keywords variables);

  /// The text, and the byte ranges that generation blocks gave.
  /// Throws: ConfigError where the template raises, misuses a value or passes a limit.
  std::string run(const Body& body);
  const std::vector<std::pair<size_t, size_t>>& generation() const { return generation_; }

  Budget& budget() override { return budget_; }
  Value call(const Value& callee, Values args, Keywords keywords) override;
  Value apply_filter(const std::string& name, Values args, Keywords keywords) override;
  bool apply_test(const std::string& name, Values args, Keywords keywords) override;
  Value attribute(const Value& object, const std::string& name) override;
  Value item(const Value& object, const Value& key) override;
  Values iterate(const Value& value) override;
  Value make_namespace(std::map<std::string, Value> fields) override;

 private:
  enum class Flow { kNext, kBreak, kContinue };
  using ScopePtr = std::shared_ptr<Scope>;

  // Statements.
  Flow execute(const Body& body);
  Flow execute(const Statement& statement);
  Flow execute_if(const Statement& statement);
  Flow execute_scoped(const Body& body, ScopePtr scope);
  void execute_for(const Statement& statement);
  std::string run_loop(const Statement& statement, const Value& iterable, int depth);
  Values loop_items(const Statement& statement, const Value& iterable);
  void execute_set_block(const Statement& statement);
  void execute_call_block(const Statement& statement);
  void execute_filter_block(const Statement& statement);
  void execute_with(const Statement& statement);
  void execute_generation(const Statement& statement);
  void assign(const Target& target, const Value& value);
  void write(std::string_view text);
  std::string captured(const Body& body, ScopePtr scope);
  ScopePtr inner_scope(ScopePtr parent) const;
  Value define_macro(const MacroNode& node);

  // Expressions.
  Value evaluate(const Expr& expr);
  Value evaluate_name(const Expr& expr);
  Value evaluate_item(const Expr& expr);
  Value evaluate_call(const Expr& expr, Keywords extra);
  Value evaluate_filter(const Expr& expr, const Value* piped);
  Value evaluate_test(const Expr& expr);
  Value evaluate_compare(const Expr& expr);
  Value evaluate_concat(const Expr& expr);
  Value evaluate_conditional(const Expr& expr);
  Value evaluate_dict(const Expr& expr);
  Values evaluate_args(const Expr& expr, size_t first);
  Keywords evaluate_keywords(const Expr& expr);

  // Access and calls.
  Value sliced(const Value& object, const Expr& slice);
  Value loop_attribute(Loop& loop, const std::string& name);
  Value call_loop_method(Loop& loop, const std::string& name, const Values& args);
  Value call_macro(const Macro& macro, Values args, Keywords keywords);
  void bind_parameters(const Macro& macro, Values& args, Keywords& keywords);

  Budget budget_;
  ScopePtr root_, scope_;
  std::string* out_ = nullptr;  // where output goes now
  std::string output_;
  std::vector<std::pair<size_t, size_t>> generation_;
  // What values point at. They live as long as the interpreter, so that values cannot form cycles.
  std::deque<Macro> macros_;
  std::deque<Namespace> namespaces_;
  std::deque<Loop> loops_;
};

}  // namespace peft::jinja
