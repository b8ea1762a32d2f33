#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peft/tokenizers/json_view.h"

namespace peft::tokenizers {

/// Tokens and their ids, both ways. Immutable once filled.
class Vocabulary {
 public:
  struct Entry {
    std::string_view token;
    uint32_t id = 0;
  };

  /// What to do where two tokens have one text: the last one wins, as in a JSON object.
  /// Throws: FormatError "<where>: ..." where an id is used twice or lies far above the number of
  /// tokens, which would ask for memory that the file does not justify.
  Vocabulary(const std::vector<Entry>& entries, const std::string& where);

  std::optional<uint32_t> find(std::string_view token) const;
  std::optional<std::string_view> token(uint32_t id) const;
  /// The id of a model's own unknown token.  Throws: FormatError where it is not here.
  uint32_t unknown(std::string_view unk_token) const;
  /// Number of different tokens.
  size_t size() const { return size_; }

 private:
  struct Text {
    size_t begin = 0;
    uint32_t length = 0;
    bool used = false;
  };

  std::string_view text(uint32_t id) const {
    return std::string_view(letters_).substr(texts_[id].begin, texts_[id].length);
  }
  /// The slot that holds the token, or the free one where it belongs.
  size_t slot_of(std::string_view token) const;

  std::string letters_;          // all tokens, one behind the other
  std::vector<Text> texts_;      // by id
  std::vector<uint32_t> slots_;  // open addressing: id + 1, 0 is free
  size_t size_ = 0;
};

/// Reads an object of tokens and ids; the entries view the JSON.  Throws: FormatError.
std::vector<Vocabulary::Entry> read_entries(const JsonView& json);

}  // namespace peft::tokenizers
