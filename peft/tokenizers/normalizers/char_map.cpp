#include "peft/tokenizers/normalizers/char_map.h"

#include <fmt/core.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

uint32_t little_endian(std::string_view bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = 4; i-- > 0;) number = number << 8 | static_cast<unsigned char>(bytes[at + i]);
  return number;
}

// The fields of a unit of the double array. Source: darts-clone include/darts.h DoubleArrayUnit
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t leaf_value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t label(uint32_t unit) { return unit & 0x800000FF; }
size_t children_at(size_t index, uint32_t unit) {
  return index ^ size_t { unit >> 10 } << ((unit & 0x200) >> 6);
}

}  // namespace

CharMap::CharMap(std::string_view bytes, std::string where) : where_(std::move(where)) {
  if (bytes.size() < 4) fail(fmt::format("expected at least 4 bytes, got {}", bytes.size()));
  const uint32_t length = little_endian(bytes, 0);
  if (length == 0 || length % 4 != 0 || length > bytes.size() - 4) {
    fail(fmt::format("wrong length of the double array: expected a multiple of 4 up to {}, got {}",
                     bytes.size() - 4, length));
  }
  for (size_t at = 4; at < 4 + size_t{length}; at += 4) units_.push_back(little_endian(bytes, at));
  replacements_ = bytes.substr(4 + size_t{length});
  if (!is_valid_utf8(replacements_)) fail("the replacements are not UTF-8");
}

std::optional<std::string_view> CharMap::find(std::string_view text) const {
  size_t index = children_at(0, unit(0));
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte == 0) return std::nullopt;
    index ^= byte;
    const uint32_t here = unit(index);
    if (label(here) != byte) return std::nullopt;
    index = children_at(index, here);
    if (has_leaf(here)) return replacement(leaf_value(unit(index)));
  }
  return std::nullopt;
}

uint32_t CharMap::unit(size_t index) const {
  if (index >= units_.size()) {
    fail(fmt::format("the double array leads out of itself: expected an index below {}, got {}",
                     units_.size(), index));
  }
  return units_[index];
}

std::string_view CharMap::replacement(size_t begin) const {
  const std::string_view all = replacements_;
  if (begin > all.size() || (begin < all.size() && is_continuation(all[begin]))) {
    fail(fmt::format("a replacement starts at no character: expected a place in {} bytes, got {}",
                     all.size(), begin));
  }
  return all.substr(begin, std::min(all.find('\0', begin), all.size()) - begin);
}

void CharMap::fail(const std::string& problem) const {
  throw FormatError(fmt::format(
      "{}: the character map is damaged: {}. Check the file, or fetch it again.", where_, problem));
}

}  // namespace peft::tokenizers
