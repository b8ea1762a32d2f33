#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace peft::tokenizers {

/// GPT-2's printable stand-ins: a character for each byte.
/// Source: tokenizers src/pre_tokenizers/byte_level.rs bytes_char
const std::array<char32_t, 256>& byte_level_characters();

/// The byte for which a character stands, -1 if it is none of the 256.
int byte_level_byte(char32_t character);

/// Bytes to stand-ins.
std::string to_byte_level(std::string_view bytes);

/// Stand-ins to bytes; nullopt if a character is not one of them.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace peft::tokenizers
