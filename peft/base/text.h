#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace peft {

/// The text in single quotes, control characters escaped and long texts cut: fit for an error
/// message.
std::string quote(std::string_view text);

/// "'a', 'b' and 214 more": at most `limit` names, each quoted.
std::string join_names(const std::vector<std::string>& names, size_t limit = 10);

/// The parts with `separator` between them.
std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// The pieces between separators; an empty text gives one empty piece.
std::vector<std::string> split(std::string_view text, char separator);

/// Without blanks, tabs and line ends at both ends.
std::string_view trim(std::string_view text);

/// ASCII letters in lower case, everything else as it is.
std::string lower_case(std::string text);

/// The number that the whole text is, in base 10; nullopt where it is none or does not fit.
template <typename Number>
std::optional<Number> whole_number(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, number);
  if (text.empty() || code != std::errc() || stop != end) return std::nullopt;
  return number;
}

/// Number of single-character edits (insert, delete, replace, swap of neighbours) from a to b.
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidates most like `wanted`, best first, at most `limit`; those that share nothing with it
/// are left out. Ties keep the order of the candidates; doubles are dropped.
std::vector<std::string> closest_names(std::string_view wanted,
                                       const std::vector<std::string>& candidates,
                                       size_t limit = 3);

/// 134515008 -> "134,515,008".
std::string with_thousands(int64_t number);

/// 1234567 -> "1.2 MB" (powers of 1000, as disks and Hugging Face count).
std::string human_bytes(uint64_t bytes);

/// True where the bytes are well-formed UTF-8: no overlong forms, no surrogates, nothing cut off.
bool is_valid_utf8(std::string_view bytes);

/// "[2, 3]": a tensor's shape as Python prints it.
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace peft
