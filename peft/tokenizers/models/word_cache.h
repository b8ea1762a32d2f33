#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "peft/tokenizers/models/model.h"

namespace peft::tokenizers {

/// The tokens of words seen before: a text has few different words. Forgets everything when full.
class WordCache {
 public:
  WordCache();

  /// The tokens of a word; null data() if it is not known. Valid until the next insert().
  std::span<const Token> find(std::string_view word);
  /// Remembers the word that find() has just not found. Long words are not worth it.
  void insert(std::string_view word, std::span<const Token> tokens);

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t length = 0;  // 0: free
    uint32_t letters = 0, tokens = 0, count = 0;
  };

  size_t slot_of(std::string_view word, uint32_t hash) const;
  void grow();
  void clear();

  std::vector<Slot> slots_;
  std::string letters_;
  std::vector<Token> tokens_;
  size_t used_ = 0;
};

}  // namespace peft::tokenizers
