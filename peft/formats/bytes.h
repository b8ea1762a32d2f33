#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

namespace peft::formats {

/// The next step in every message about a damaged file.
inline constexpr std::string_view kRefetch = "The file is damaged or was not fetched to its end.";

/// a * b, or nullopt where it does not fit.
inline std::optional<uint64_t> checked_product(uint64_t a, uint64_t b) {
  if (b != 0 && a > std::numeric_limits<uint64_t>::max() / b) return std::nullopt;
  return a * b;
}

/// Number of elements of a shape, or nullopt where it does not fit into 63 bits.
inline std::optional<uint64_t> element_count(const std::vector<int64_t>& shape) {
  uint64_t count = 1;
  for (const int64_t length : shape) {
    const auto next = checked_product(count, static_cast<uint64_t>(length));
    if (length < 0 || !next || *next > uint64_t{std::numeric_limits<int64_t>::max()}) {
      return std::nullopt;
    }
    count = *next;
  }
  return count;
}

}  // namespace peft::formats
