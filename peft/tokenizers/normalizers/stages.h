#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "peft/tokenizers/normalizers/normalizer.h"
#include "peft/tokenizers/unicode.h"

// The normalizers, each made from its object in tokenizer.json.
// Source: tokenizers src/normalizers/
namespace peft::tokenizers {

using NormalizerPtr = std::unique_ptr<const Normalizer>;

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

/// One normalizer after the other.
NormalizerPtr make_normalizer_sequence(std::vector<NormalizerPtr> stages);
NormalizerPtr make_unicode_form(UnicodeForm form);
NormalizerPtr make_lowercase();
NormalizerPtr make_bert_normalizer(const JsonView& json);
NormalizerPtr make_strip(const JsonView& json);
NormalizerPtr make_strip_accents(const JsonView& json);
NormalizerPtr make_replace(const JsonView& json);
NormalizerPtr make_prepend(const JsonView& json);
NormalizerPtr make_byte_level_normalizer(const JsonView& json);
NormalizerPtr make_nmt(const JsonView& json);
/// `char_map`: the bytes as they are in a SentencePiece model.  Throws: FormatError "<where>: ...".
NormalizerPtr make_precompiled(std::string_view char_map, const std::string& where);

/// A character of the new text, and how it relates to the old one: 0 takes the place of the next
/// character, 1 is new beside the one before, -n takes the place of the next one and swallows n
/// more.
struct Change {
  char32_t character = 0;
  int change = 0;
};

/// Replaces the whole text.
void rewrite(AlignedText& text, const std::vector<Change>& changes);

/// Rewrites a text character by character: where `replace(character, written)` is true, what it
/// wrote, maybe nothing, takes the character's place.
template <typename Replace>
void rewrite_characters(AlignedText& text, const Replace& replace) {
  const std::string_view all = text.text();
  AlignedText::Editor editor(text);
  std::string written;
  bool changed = false;
  for (size_t at = 0; at < all.size();) {
    const CodePoint c = decode_utf8(all, at);
    written.clear();
    if (replace(c.value, written)) {
      changed = true;
      editor.keep(at - editor.position());
      if (!written.empty()) editor.put_as_next(written);
      editor.drop(c.length);
    }
    at += c.length;
  }
  if (changed) editor.commit();
}

}  // namespace peft::tokenizers
