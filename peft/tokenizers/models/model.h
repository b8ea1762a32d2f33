#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peft/tokenizers/json_view.h"

namespace peft::tokenizers {

/// A token of a piece, and how many bytes of the piece it covers.
struct Token {
  uint32_t id = 0;
  uint32_t length = 0;
  bool shares_bytes = false;  // the next token stands for the same bytes
};

/// Turns pieces into tokens. Immutable; concurrent use is allowed.
///
/// A model serves one chain of stages, which always hands it the same kind of pieces: characters,
/// or bytes (Segment::bytes), each of which the vocabulary spells with its printable stand-in.
class Model {
 public:
  virtual ~Model() = default;

  /// One encoder at work: it holds what should be reused from piece to piece. Not thread-safe.
  class Session {
   public:
    virtual ~Session() = default;
    /// Appends the tokens of a piece of valid UTF-8 that is not empty.
    /// Throws: FormatError (the vocabulary lacks its own unknown token).
    virtual void tokenize(std::string_view piece, std::vector<Token>& tokens) = 0;
  };
  virtual std::unique_ptr<Session> open(bool bytes) const = 0;

  virtual std::optional<uint32_t> token_to_id(std::string_view token) const = 0;
  virtual std::optional<std::string_view> id_to_token(uint32_t id) const = 0;
  virtual size_t size() const = 0;
};

/// Reads the `model` of a tokenizer.json.
/// Throws: FormatError, UnsupportedError (unknown type).
std::unique_ptr<const Model> read_model(const JsonView& json);

}  // namespace peft::tokenizers
