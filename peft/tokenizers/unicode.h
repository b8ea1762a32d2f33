#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace peft::tokenizers {

/// Character classes as the Python `tokenizers` library sees them: a bit each. Its regular
/// expressions and its Rust code know different versions of Unicode, hence kNumber beside kNumeric.
enum CharClass : uint16_t {
  kLetter = 1,        // \p{L}
  kNumber = 2,        // \p{N}
  kMark = 4,          // \p{M}
  kSpace = 8,         // \s
  kNumeric = 16,      // what the pre-tokenizer Digits isolates
  kWord = 32,         // \w of the pre-tokenizer Whitespace
  kPunctuation = 64,  // what the pre-tokenizer Punctuation isolates
  kAccent = 128,      // what the normalizer StripAccents removes
  kNonspacing = 256,  // what BertNormalizer removes as accents
  kInvisible = 512,   // what BertNormalizer removes as no text
};

/// The classes of every code point, ready to be indexed.
/// Looks up a static table of 2 x 0x110000 bytes of which only a few pages are ever touched.
const uint16_t* char_class_table();

/// One character of a text.
struct CodePoint {
  char32_t value = 0;
  uint32_t length = 0;  // bytes
};

/// The character at byte `at` of valid UTF-8.
inline CodePoint decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {static_cast<char32_t>((first & 0x1F) << 6 | (byte(1) & 0x3F)), 2};
  if (first < 0xF0) {
    return {static_cast<char32_t>((first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)),
            3};
  }
  return {static_cast<char32_t>((first & 0x07) << 18 | (byte(1) & 0x3F) << 12 |
                                (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F)),
          4};
}

/// The character that ends before byte `end` (> 0) of valid UTF-8.
CodePoint decode_utf8_before(std::string_view text, size_t end);

/// True for the second to fourth byte of a character.
inline bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

/// Appends a code point in UTF-8.
void append_utf8(std::string& text, char32_t code_point);

/// Number of characters of valid UTF-8.
size_t count_characters(std::string_view text);

/// Length of the longest valid piece of UTF-8 at the start of `bytes`.
size_t valid_utf8_prefix(std::string_view bytes);

/// Bytes at the start of `bytes` (which must not be a valid character) that become one U+FFFD, as
/// Python and Rust count them: the longest prefix of a valid character, at least one.
size_t broken_utf8_length(std::string_view bytes);

/// The bytes with every broken piece replaced by U+FFFD.
std::string to_valid_utf8(std::string_view bytes);

}  // namespace peft::tokenizers
