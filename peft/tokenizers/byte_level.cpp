#include "peft/tokenizers/byte_level.h"

#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

constexpr char32_t kFirstExtra = 256;  // bytes that print badly are moved here, in their order

bool prints_well(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

}  // namespace

const std::array<char32_t, 256>& byte_level_characters() {
  static const auto characters = [] {
    std::array<char32_t, 256> made{};
    char32_t extra = kFirstExtra;
    for (int byte = 0; byte < 256; ++byte) {
      made[byte] = prints_well(byte) ? static_cast<char32_t>(byte) : extra++;
    }
    return made;
  }();
  return characters;
}

int byte_level_byte(char32_t character) {
  static const auto bytes = [] {
    std::array<int16_t, 2 * kFirstExtra> made{};
    made.fill(-1);
    for (int byte = 0; byte < 256; ++byte) {
      made[byte_level_characters()[byte]] = static_cast<int16_t>(byte);
    }
    return made;
  }();
  return character < bytes.size() ? bytes[character] : -1;
}

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    append_utf8(text, byte_level_characters()[static_cast<unsigned char>(byte)]);
  }
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text, at);
    const int byte = byte_level_byte(c.value);
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
    at += c.length;
  }
  return bytes;
}

}  // namespace peft::tokenizers
