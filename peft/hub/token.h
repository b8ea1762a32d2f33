#pragma once

#include <string>
#include <utility>

namespace peft::hub {

/// An access token. It has no stream operator and no JSON form, so that it cannot be printed by
/// accident; reveal() is for the Authorization header and the token file alone.
class Token {
 public:
  Token() = default;
  explicit Token(std::string text) : text_(std::move(text)) {}

  bool empty() const { return text_.empty(); }
  const std::string& reveal() const { return text_; }

 private:
  std::string text_;
};

}  // namespace peft::hub
