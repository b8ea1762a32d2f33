#include "peft/tokenizers/unicode.h"

#include <vector>

#include "peft/tokenizers/unicode_tables.h"

namespace peft::tokenizers {
namespace {

constexpr size_t kCodePoints = 0x110000;

struct ClassTable {
  uint16_t bits[kCodePoints];  // static storage: zero, and untouched pages take no memory

  void set(const std::vector<CodePointRange>& ranges, CharClass bit) {
    for (const CodePointRange& range : ranges) {
      for (char32_t c = range.first; c <= range.last; ++c) bits[c] |= bit;
    }
  }
};

ClassTable table;

const uint16_t* build() {
  table.set(kLetterRanges, kLetter);
  table.set(kNumberRanges, kNumber);
  table.set(kMarkRanges, kMark);
  table.set(kSpaceRanges, kSpace);
  table.set(kNumericRanges, kNumeric);
  table.set(kWordRanges, kWord);
  table.set(kPunctuationRanges, kPunctuation);
  table.set(kAccentRanges, kAccent);
  table.set(kNonspacingRanges, kNonspacing);
  table.set(kInvisibleRanges, kInvisible);
  return table.bits;
}

/// What may follow a leading byte, after table 3-7 of the Unicode standard.
struct Lead {
  size_t length;  // 0: no character starts so
  unsigned char low, high;
};

Lead lead_of(unsigned char first) {
  if (first < 0x80) return {1, 0, 0};
  if (first < 0xC2) return {0, 0, 0};
  if (first < 0xE0) return {2, 0x80, 0xBF};
  if (first == 0xE0) return {3, 0xA0, 0xBF};
  if (first == 0xED) return {3, 0x80, 0x9F};
  if (first < 0xF0) return {3, 0x80, 0xBF};
  if (first == 0xF0) return {4, 0x90, 0xBF};
  if (first < 0xF4) return {4, 0x80, 0xBF};
  if (first == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

/// Bytes at `at` that fit the character which starts there, and whether it is whole.
struct Fit {
  size_t bytes;
  bool whole;
};

Fit fit_character(std::string_view bytes, size_t at) {
  const Lead lead = lead_of(static_cast<unsigned char>(bytes[at]));
  if (lead.length == 0) return {1, false};
  if (lead.length == 1) return {1, true};
  size_t good = 1;
  while (good < lead.length && at + good < bytes.size()) {
    const auto byte = static_cast<unsigned char>(bytes[at + good]);
    const unsigned char low = good == 1 ? lead.low : 0x80;
    const unsigned char high = good == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) break;
    ++good;
  }
  return {good, good == lead.length};
}

}  // namespace

const uint16_t* char_class_table() {
  static const uint16_t* const bits = build();
  return bits;
}

CodePoint decode_utf8_before(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && is_continuation(text[begin])) --begin;
  return decode_utf8(text, begin);
}

void append_utf8(std::string& text, char32_t c) {
  const auto byte = [](char32_t value) { return static_cast<char>(value); };
  if (c < 0x80) {
    text += byte(c);
  } else if (c < 0x800) {
    text += {byte(0xC0 | c >> 6), byte(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    text += {byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 0x3F)), byte(0x80 | (c & 0x3F))};
  } else {
    text += {byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 0x3F)), byte(0x80 | (c >> 6 & 0x3F)),
             byte(0x80 | (c & 0x3F))};
  }
}

size_t count_characters(std::string_view text) {
  size_t count = 0;
  for (const char byte : text) count += !is_continuation(byte);
  return count;
}

size_t valid_utf8_prefix(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (static_cast<unsigned char>(bytes[at]) < 0x80) {
      ++at;
      continue;
    }
    const Fit fit = fit_character(bytes, at);
    if (!fit.whole) break;
    at += fit.bytes;
  }
  return at;
}

size_t broken_utf8_length(std::string_view bytes) { return fit_character(bytes, 0).bytes; }

std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t good = valid_utf8_prefix(bytes);
    text.append(bytes.substr(0, good));
    bytes.remove_prefix(good);
    if (bytes.empty()) break;
    text += "\uFFFD";
    bytes.remove_prefix(broken_utf8_length(bytes));
  }
  return text;
}

}  // namespace peft::tokenizers
