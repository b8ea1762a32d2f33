#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace peft::jinja {

/// Python's str.upper, lower, capitalize, title and swapcase.
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalized(std::string_view text);
std::string titled(std::string_view text);
std::string case_swapped(std::string_view text);

enum class CharClass { kAlpha, kDecimal, kDigit, kNumeric, kSpace, kUpper, kLower, kAlnum };
bool is_of(CharClass wanted, int32_t point);

/// Python's isalpha, isdigit, ...: not empty and every code point of that class.
bool all_of_class(std::string_view text, CharClass wanted);

/// Python's isupper and islower: at least one letter with case, and none of the other case.
bool has_only_case(std::string_view text, CharClass wanted);

}  // namespace peft::jinja
