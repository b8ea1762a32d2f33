#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "peft/tokenizers/normalizers/normalizer.h"

// The normalizers, each made from its object in tokenizer.json.
// Source: tokenizers src/normalizers/
namespace peft::tokenizers {

using NormalizerPtr = std::unique_ptr<const Normalizer>;

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

NormalizerPtr make_unicode_form(UnicodeForm form);
NormalizerPtr make_lowercase(const JsonView& json);
NormalizerPtr make_strip(const JsonView& json);
NormalizerPtr make_strip_accents(const JsonView& json);
NormalizerPtr make_replace(const JsonView& json);
NormalizerPtr make_prepend(const JsonView& json);
NormalizerPtr make_byte_level_normalizer(const JsonView& json);
NormalizerPtr make_nmt(const JsonView& json);

/// A character of the new text, and how it relates to the old one: 0 takes the place of the next
/// character, 1 is new beside the one before, -n takes the place of the next one and swallows n
/// more.
struct Change {
  char32_t character = 0;
  int change = 0;
};

/// Replaces the whole text.
void rewrite(AlignedText& text, const std::vector<Change>& changes);

}  // namespace peft::tokenizers
