#pragma once

#include <cstddef>
#include <string_view>

namespace peft::tokenizers {

/// The end of the match that starts at byte `at`. These patterns match at every position, one match
/// after the other. The text is not empty and `at` is inside it.
using Scanner = size_t (*)(std::string_view text, size_t at);

inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// A hand-written scanner that does exactly what the regular expression does, many times faster;
/// null for a pattern that has none.
Scanner find_scanner(std::string_view pattern);

}  // namespace peft::tokenizers
