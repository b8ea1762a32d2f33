#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace peft::tokenizers {

/// SentencePiece's compiled character map: which short texts are rewritten, and to what. The bytes
/// are the length of a double array (32 bits, little endian), the double array, which is a trie
/// over the texts, and the replacements, each ended by a zero byte, into which its values point.
/// Source: sentencepiece src/normalizer.cc, rust spm_precompiled src/lib.rs
class CharMap {
 public:
  /// Throws: FormatError "<where>: ..." where the bytes do not have this form.
  CharMap(std::string_view bytes, std::string where);

  /// The replacement of the shortest text in the map with which `text` begins; nullopt if there is
  /// none.  Throws: FormatError where the array leads out of itself.
  std::optional<std::string_view> find(std::string_view text) const;

 private:
  uint32_t unit(size_t index) const;
  std::string_view replacement(size_t begin) const;
  [[noreturn]] void fail(const std::string& problem) const;

  std::string where_;
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace peft::tokenizers
