#include <fmt/format.h>

#include <algorithm>

#include "peft/base/text.h"
#include "peft/tokenizers/jinja/parser_internal.h"

namespace peft::jinja {
namespace {

std::string description(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    default:
      return quote(token.text);
  }
}

}  // namespace

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (parser_.nesting_ >= kMaxNesting)
    parser_.fail(fmt::format("it is nested too deeply: expected at most {} levels", kMaxNesting));
  ++parser_.nesting_;
}

Token Parser::next() {
  const Token token = current();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::skip_operator(std::string_view text) {
  if (!current().is_operator(text)) return false;
  next();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!current().is_name(name)) return false;
  next();
  return true;
}

Token Parser::expect(TokenKind kind, std::string_view what) {
  if (current().kind != kind) fail_expected(what);
  return next();
}

void Parser::expect_operator(std::string_view text) {
  if (!skip_operator(text)) fail_expected(fmt::format("'{}'", text));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_expected(fmt::format("'{}'", name));
}

void Parser::fail(std::string_view what) const { fail_at(current().line, what); }

void Parser::fail_expected(std::string_view what) const {
  fail(fmt::format("unexpected token: expected {}, got {}", what, description(current())));
}

Body Parser::parse_template() { return parse_body({}); }

/// Statements until one of the tags `ends`, whose name is then the current token.
Body Parser::parse_body(std::initializer_list<std::string_view> ends) {
  const Nesting nesting(*this);
  Body body;
  while (true) {
    const Token& token = current();
    if (token.kind == TokenKind::kEnd) {
      if (ends.size() == 0) return body;
      fail_expected(fmt::format("'{}'", std::data(ends)[ends.size() - 1]));
    }
    if (token.kind == TokenKind::kBlockBegin) {
      if (std::any_of(ends.begin(), ends.end(),
                      [&](std::string_view name) { return ahead().is_name(name); })) {
        next();
        return body;
      }
      body.push_back(parse_statement());
    } else {
      parse_output(body);
    }
  }
}

void Parser::parse_output(Body& body) {
  auto statement = std::make_unique<Statement>();
  statement->line = current().line;
  if (current().kind == TokenKind::kData) {
    statement->text = next().text;
  } else {
    expect(TokenKind::kVariableBegin, "text or a tag");
    statement->kind = StatementKind::kOutput;
    statement->expressions.push_back(parse_tuple({}));
    expect(TokenKind::kVariableEnd, "'}}'");
  }
  body.push_back(std::move(statement));
}

std::unique_ptr<Statement> Parser::parse_statement() {
  using Rule = void (Parser::*)(Statement&);
  struct Entry {
    std::string_view name;
    StatementKind kind;
    Rule rule;
  };
  static constexpr Entry kRules[] = {
      {"for", StatementKind::kFor, &Parser::parse_for},
      {"if", StatementKind::kIf, &Parser::parse_if},
      {"set", StatementKind::kSet, &Parser::parse_set},
      {"macro", StatementKind::kMacro, &Parser::parse_macro},
      {"call", StatementKind::kCallBlock, &Parser::parse_call_block},
      {"filter", StatementKind::kFilterBlock, &Parser::parse_filter_block},
      {"with", StatementKind::kWith, &Parser::parse_with},
      {"block", StatementKind::kScope, &Parser::parse_block},
  };
  next();
  const Token tag = expect(TokenKind::kName, "the name of a tag");
  auto statement = std::make_unique<Statement>();
  statement->line = tag.line;
  for (const Entry& entry : kRules) {
    if (tag.text != entry.name) continue;
    statement->kind = entry.kind;
    (this->*entry.rule)(*statement);
    return statement;
  }
  if (tag.text == "generation") {
    statement->kind = StatementKind::kGeneration;
    end_block();
    statement->body = parse_body({"endgeneration"});
    next();
  } else if (tag.text == "print") {
    statement->kind = StatementKind::kOutput;
    while (current().kind != TokenKind::kBlockEnd) {
      if (!statement->expressions.empty()) expect_operator(",");
      statement->expressions.push_back(parse_expression());
    }
  } else if (tag.text == "break" || tag.text == "continue") {
    if (loops_ == 0) fail_at(tag.line, fmt::format("'{}' stands outside of a loop", tag.text));
    statement->kind = tag.text == "break" ? StatementKind::kBreak : StatementKind::kContinue;
  } else {
    fail_at(tag.line, "unknown tag " + quote(tag.text));
  }
  end_block();
  return statement;
}

void Parser::end_block() { expect(TokenKind::kBlockEnd, "'%}'"); }

void Parser::parse_for(Statement& statement) {
  statement.target = parse_target(false);
  if (statement.target.name == "loop") fail("cannot assign to 'loop' in a for loop");
  expect_name("in");
  statement.expressions.push_back(parse_tuple({.conditional = false, .end_name = "recursive"}));
  statement.expressions.push_back(skip_name("if") ? parse_expression() : nullptr);
  statement.recursive = skip_name("recursive");
  end_block();
  ++loops_;
  statement.body = parse_body({"else", "endfor"});
  --loops_;
  if (next().text == "else") {
    end_block();
    statement.otherwise = parse_body({"endfor"});
    next();
  }
  end_block();
}

void Parser::parse_if(Statement& statement) {
  ++soft_;
  while (true) {
    Branch& branch = statement.branches.emplace_back();
    branch.condition = parse_tuple({.conditional = false});
    end_block();
    branch.body = parse_body({"elif", "else", "endif"});
    const std::string tag = next().text;
    if (tag == "elif") continue;
    if (tag == "else") {
      end_block();
      statement.branches.push_back({nullptr, parse_body({"endif"})});
      next();
    }
    break;
  }
  --soft_;
  end_block();
}

void Parser::parse_set(Statement& statement) {
  statement.target = parse_target(true);
  if (skip_operator("=")) {
    statement.expressions.push_back(parse_tuple({}));
    return end_block();
  }
  statement.kind = StatementKind::kSetBlock;
  statement.expressions.push_back(parse_filter(nullptr, false));
  end_block();
  statement.body = parse_body({"endset"});
  next();
  end_block();
}

void Parser::parse_macro(Statement& statement) {
  auto macro = std::make_unique<MacroNode>();
  macro->name = expect(TokenKind::kName, "the macro's name").text;
  parse_signature(*macro);
  parse_macro_body(*macro, "endmacro");
  statement.macro = std::move(macro);
}

void Parser::parse_call_block(Statement& statement) {
  auto macro = std::make_unique<MacroNode>();
  macro->name = "caller";
  if (current().is_operator("(")) parse_signature(*macro);
  statement.expressions.push_back(parse_expression());
  if (statement.expressions[0]->kind != ExprKind::kCall) fail_expected("a call");
  parse_macro_body(*macro, "endcall");
  statement.macro = std::move(macro);
}

void Parser::parse_signature(MacroNode& macro) {
  expect_operator("(");
  while (!current().is_operator(")")) {
    if (!macro.parameters.empty()) expect_operator(",");
    macro.parameters.push_back(expect(TokenKind::kName, "a parameter's name").text);
    if (skip_operator("=")) {
      macro.defaults.push_back(parse_expression());
    } else if (!macro.defaults.empty()) {
      fail("a parameter without default follows one with a default");
    }
  }
  expect_operator(")");
}

void Parser::parse_macro_body(MacroNode& macro, std::string_view end) {
  end_block();
  macros_.push_back(&macro);
  const int loops = std::exchange(loops_, 0);
  macro.body = parse_body({end});
  loops_ = loops;
  macros_.pop_back();
  next();
  end_block();
}

void Parser::parse_filter_block(Statement& statement) {
  statement.expressions.push_back(parse_filter(nullptr, true));
  end_block();
  statement.body = parse_body({"endfilter"});
  next();
  end_block();
}

void Parser::parse_with(Statement& statement) {
  while (current().kind != TokenKind::kBlockEnd) {
    if (!statement.targets.empty()) expect_operator(",");
    statement.targets.push_back(parse_target(false));
    expect_operator("=");
    statement.expressions.push_back(parse_expression());
  }
  end_block();
  statement.body = parse_body({"endwith"});
  next();
  end_block();
}

void Parser::parse_block(Statement& statement) {
  const std::string name = expect(TokenKind::kName, "the block's name").text;
  end_block();
  statement.body = parse_body({"endblock"});
  next();
  skip_name(name);
  end_block();
}

Target Parser::parse_target(bool with_namespace) {
  Target target;
  bool is_tuple = false;
  while (true) {
    target.parts.push_back(parse_single_target(with_namespace));
    if (!skip_operator(",")) break;
    is_tuple = true;
    if (current().kind != TokenKind::kName && !current().is_operator("(")) break;
    if (current().is_name("in")) break;
  }
  return is_tuple ? std::move(target) : Target(std::move(target.parts[0]));
}

Target Parser::parse_single_target(bool with_namespace) {
  const Nesting nesting(*this);
  if (skip_operator("(")) {
    Target target = parse_target(with_namespace);
    expect_operator(")");
    return target;
  }
  Target target;
  target.name = expect(TokenKind::kName, "a name to assign to").text;
  for (const char* reserved : {"true", "false", "none", "True", "False", "None"}) {
    if (target.name == reserved) fail("cannot assign to '" + target.name + "'");
  }
  if (with_namespace && skip_operator(".")) target.field = expect(TokenKind::kName, "a name").text;
  return target;
}

Body parse(std::string_view source) { return Parser(source).parse_template(); }

}  // namespace peft::jinja
