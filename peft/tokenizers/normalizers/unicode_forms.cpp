#include <utf8proc.h>

#include <algorithm>

#include "peft/tokenizers/normalizers/stages.h"
#include "peft/tokenizers/unicode.h"
#include "peft/tokenizers/unicode_tables.h"

// NFC, NFD, NFKC and NFKD. The characters' properties are utf8proc's; the walk over them is our
// own, because offsets need to know which character became which.
namespace peft::tokenizers {
namespace {

/// A character on its way: class for the canonical order, and its change against the old text.
struct Part {
  char32_t character = 0;
  int order = 0;
  int change = 0;
};

int order_of(char32_t c) {
  // Marks younger than the Unicode version of Python's library stay where they are there.
  if (std::binary_search(kUnorderedMarks.begin(), kUnorderedMarks.end(), c)) return 0;
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
}

/// Appends the parts of a character: itself, or what it decomposes to.
void decompose(char32_t c, bool compatible, std::vector<Part>& parts) {
  const auto& kept = compatible ? kCompatibleExceptions : kCanonicalExceptions;
  utf8proc_int32_t to[32];
  int boundary = 0;
  utf8proc_ssize_t count = -1;
  if (!std::binary_search(kept.begin(), kept.end(), c)) {
    const int options = UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
    count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), to, 32,
                                    static_cast<utf8proc_option_t>(options), &boundary);
  }
  if (count <= 0 || count > 32) {
    parts.push_back({c, order_of(c), 0});
    return;
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    const auto part = static_cast<char32_t>(to[i]);
    parts.push_back({part, order_of(part), i == 0 ? 0 : 1});
  }
}

/// Sorts each run of marks, keeping the order of equals.
void put_in_order(std::vector<Part>& parts) {
  const auto is_starter = [](const Part& part) { return part.order == 0; };
  for (auto begin = parts.begin(); begin != parts.end();) {
    begin = std::find_if_not(begin, parts.end(), is_starter);
    const auto end = std::find_if(begin, parts.end(), is_starter);
    std::stable_sort(begin, end, [](const Part& a, const Part& b) { return a.order < b.order; });
    begin = end;
  }
}

/// The character that two make together, 0 if none.
char32_t compose_pair(char32_t a, char32_t b) {
  utf8proc_int32_t pair[2] = {static_cast<utf8proc_int32_t>(a), static_cast<utf8proc_int32_t>(b)};
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  if (utf8proc_normalize_utf32(pair, 2, options) != 1) return 0;
  const auto made = static_cast<char32_t>(pair[0]);
  const bool unknown =
      std::binary_search(kCanonicalExceptions.begin(), kCanonicalExceptions.end(), made);
  return unknown ? 0 : made;
}

/// Composes in place. Source: rust unicode-normalization-alignments src/recompose.rs
void compose(std::vector<Part>& parts) {
  size_t kept = 0;
  constexpr size_t kNone = SIZE_MAX;
  size_t base = kNone;  // the starter that later characters may join
  int last_order = -1;  // of the last character behind it that stayed; -1: none did
  for (const Part& part : std::vector<Part>(parts)) {
    if (base != kNone && (last_order < 0 || last_order < part.order)) {
      if (const char32_t made = compose_pair(parts[base].character, part.character)) {
        parts[base].character = made;
        parts[base].change += part.change - 1;
        continue;
      }
    }
    if (part.order == 0) {
      base = kept;
      last_order = -1;
    } else if (base != kNone) {
      last_order = part.order;
    }
    parts[kept++] = part;
  }
  parts.resize(kept);
}

class UnicodeFormNormalizer : public Normalizer {
 public:
  explicit UnicodeFormNormalizer(UnicodeForm form)
      : compatible_(form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd),
        composed_(form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc) {}

  void apply(AlignedText& text) const override {
    if (is_plain(text.text())) return;
    std::vector<Part> parts;
    const std::string_view all = text.text();
    for (size_t at = 0; at < all.size();) {
      const CodePoint c = decode_utf8(all, at);
      decompose(c.value, compatible_, parts);
      at += c.length;
    }
    put_in_order(parts);
    if (composed_) compose(parts);
    std::vector<Change> changes;
    changes.reserve(parts.size());
    for (const Part& part : parts) changes.push_back({part.character, part.change});
    rewrite(text, changes);
  }

 private:
  /// True where no character can change: below the first that decomposes in any form.
  static bool is_plain(std::string_view text) {
    constexpr char kFirst = static_cast<char>(0x80);
    return std::all_of(text.begin(), text.end(), [](char byte) { return (byte & kFirst) == 0; });
  }

  bool compatible_, composed_;
};

class Lowercase : public Normalizer {
 public:
  void apply(AlignedText& text) const override {
    rewrite_characters(text, [](char32_t c, std::string& written) {
      if (c < 0x80) {
        if (c < 'A' || c > 'Z') return false;
        written += static_cast<char>(c - 'A' + 'a');
        return true;
      }
      const char32_t small = lower(c);
      if (c == 0x130) {  // I with a dot: the one letter that becomes two
        written = "i\u0307";
      } else if (small != c) {
        append_utf8(written, small);
      }
      return !written.empty();
    });
  }

 private:
  static char32_t lower(char32_t c) {
    const auto found = std::lower_bound(
        kLowerExceptions.begin(), kLowerExceptions.end(), c,
        [](const CodePointRange& pair, char32_t wanted) { return pair.first < wanted; });
    if (found != kLowerExceptions.end() && found->first == c) return found->last;
    return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
  }
};

}  // namespace

NormalizerPtr make_unicode_form(UnicodeForm form) {
  return std::make_unique<UnicodeFormNormalizer>(form);
}

NormalizerPtr make_lowercase() { return std::make_unique<Lowercase>(); }

}  // namespace peft::tokenizers
