#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "peft/tokenizers/models/vocabulary.h"

namespace peft::tokenizers {

/// The tokens of a vocabulary by their bytes: one walk along a text meets all tokens with which it
/// begins. Immutable once filled.
class Trie {
 public:
  using Node = uint32_t;
  static constexpr uint32_t kNone = UINT32_MAX;

  /// Of tokens with one text the last one counts.  Throws: FormatError "<where>: ..." for tokens
  /// of more than 4096 bytes: a text would take that many steps at each of its characters.
  Trie(std::vector<Vocabulary::Entry> entries, const std::string& where);

  static constexpr Node root() { return 0; }
  /// Where a byte leads to, kNone where no token goes on so.
  Node step(Node node, char byte) const;
  /// Where the bytes of a text lead to, kNone where no token begins so.
  Node walk(Node node, std::string_view text) const;
  /// The id of the token that ends here, kNone where none does.
  uint32_t id(Node node) const { return nodes_[node].id; }

 private:
  struct Branch {
    uint32_t first = 0;  // of the children, which lie side by side
    uint32_t count = 0;
    uint32_t id = kNone;
  };

  std::vector<Branch> nodes_;
  std::string labels_;  // by node: the byte that leads to it
};

}  // namespace peft::tokenizers
