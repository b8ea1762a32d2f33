#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace peft::jinja {

enum class TokenKind {
  kData,           // text outside of tags
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,  // text holds its value, escapes resolved
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text = {};
  int64_t integer = 0;
  double real = 0;

  bool is(TokenKind k, std::string_view t) const { return kind == k && text == t; }
  bool is_operator(std::string_view t) const { return is(TokenKind::kOperator, t); }
  bool is_name(std::string_view t) const { return is(TokenKind::kName, t); }
};

/// Cuts a template into tokens, with trim_blocks and lstrip_blocks as Hugging Face sets them: the
/// line end behind a block tag goes, and so do the blanks before one that starts its line.
/// Comments are dropped, raw blocks become data. The last token is kEnd.
/// Source: jinja2/lexer.py Lexer.tokeniter, transformers
/// chat_template_utils._compile_jinja_template Throws: FormatError with the line.
std::vector<Token> tokenize(std::string_view source);

/// Throws the FormatError "chat template, line <line>: <what>".
[[noreturn]] void fail_at(int line, std::string_view what);

}  // namespace peft::jinja
