#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace peft::formats {

using Parse = std::function<void(std::span<const std::byte>)>;

/// Exactly as long as the text, so that a sanitizer sees the first byte past it.
inline void parse_exactly(const std::string& text, const Parse& parse) {
  const std::vector<std::byte> copy(reinterpret_cast<const std::byte*>(text.data()),
                                    reinterpret_cast<const std::byte*>(text.data()) + text.size());
  parse(copy);
}

/// A whole file with `changes` random bytes replaced.
inline std::string with_flipped_bytes(std::string text, std::mt19937& random, int changes) {
  for (int i = 0; i < changes; ++i) text[random() % text.size()] = static_cast<char>(random());
  return text;
}

}  // namespace peft::formats
