#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "peft/tokenizers/jinja/ast.h"
#include "peft/tokenizers/jinja/lexer.h"

namespace peft::jinja {

/// Recursive descent over the tokens; one function for a rule of the grammar. Expressions are in
/// parse_expression.cpp, statements in parse_statement.cpp.
/// Source: jinja2/parser.py
class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}

  Body parse_template();

 private:
  /// How deep rules may call each other, and how deep a tree may become.
  static constexpr int kMaxNesting = 150, kMaxTreeDepth = 300;

  /// One rule deeper while it lives.  Throws: FormatError beyond kMaxNesting.
  class Nesting {
   public:
    explicit Nesting(Parser& parser);
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Parser& parser_;
  };

  struct ExprOptions {
    bool conditional = true;         // allow `a if b else c`
    bool parenthesised = false;      // an empty tuple is allowed
    std::string_view end_name = {};  // a name that ends a tuple
  };

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next();
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view name);
  Token expect(TokenKind kind, std::string_view what);
  void expect_operator(std::string_view text);
  void expect_name(std::string_view name);
  [[noreturn]] void fail(std::string_view what) const;
  [[noreturn]] void fail_expected(std::string_view what) const;

  // Statements.
  Body parse_body(std::initializer_list<std::string_view> ends);
  void parse_output(Body& body);
  std::unique_ptr<Statement> parse_statement();
  void parse_for(Statement& statement);
  void parse_if(Statement& statement);
  void parse_set(Statement& statement);
  void parse_macro(Statement& statement);
  void parse_call_block(Statement& statement);
  void parse_filter_block(Statement& statement);
  void parse_with(Statement& statement);
  void parse_block(Statement& statement);
  void parse_signature(MacroNode& macro);
  void parse_macro_body(MacroNode& macro, std::string_view end);
  void end_block();
  Target parse_target(bool with_namespace);
  Target parse_single_target(bool with_namespace);

  // Expressions.
  ExprPtr parse_expression() { return parse_conditional(); }
  ExprPtr parse_tuple(const ExprOptions& options);
  bool at_tuple_end(const ExprOptions& options) const;
  ExprPtr parse_conditional();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter);
  ExprPtr parse_primary();
  ExprPtr parse_name();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr expr);
  ExprPtr parse_filters(ExprPtr expr);
  ExprPtr parse_attribute(ExprPtr object);
  ExprPtr parse_item(ExprPtr object);
  ExprPtr parse_subscript();
  ExprPtr parse_call(ExprPtr callee);
  ExprPtr parse_filter(ExprPtr value, bool bar_is_read);
  ExprPtr parse_test(ExprPtr value);
  void parse_arguments(Expr& call);
  std::string parse_dotted_name();

  Expr node(ExprKind kind) const { return {.kind = kind, .line = current().line}; }
  /// Closes a node: measures its depth.  Throws: FormatError where the tree becomes too deep.
  ExprPtr finish(Expr expr) const;
  ExprPtr binary(ExprKind kind, std::string name, ExprPtr left, ExprPtr right) const;

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0, loops_ = 0;
  int soft_ = 0;  // inside of a condition, where an unknown filter fails only when it is reached
  std::vector<MacroNode*> macros_;
};

}  // namespace peft::jinja
