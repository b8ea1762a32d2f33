#include "peft/tokenizers/byte_level.h"
#include "peft/tokenizers/normalizers/stages.h"
#include "peft/tokenizers/pattern.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

bool is_in(char32_t c, CharClass wanted) { return (char_class_table()[c] & wanted) != 0; }

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  void apply(AlignedText& text) const override {
    const std::string_view all = text.text();
    size_t begin = 0, end = all.size();
    while (left_ && begin < end) {
      const CodePoint c = decode_utf8(all, begin);
      if (!is_in(c.value, kSpace)) break;
      begin += c.length;
    }
    while (right_ && end > begin) {
      const CodePoint c = decode_utf8_before(all, end);
      if (!is_in(c.value, kSpace)) break;
      end -= c.length;
    }
    if (begin == 0 && end == all.size()) return;
    AlignedText::Editor editor(text);
    editor.drop(begin);
    editor.keep(end - begin);
    editor.drop(all.size() - end);
    editor.commit();
  }

 private:
  bool left_, right_;
};

class StripAccents : public Normalizer {
 public:
  void apply(AlignedText& text) const override {
    rewrite_characters(text, [](char32_t c, std::string&) { return is_in(c, kAccent); });
  }
};

class Replace : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(AlignedText& text) const override {
    const auto matches = pattern_.matches(text.text());
    auto match = matches(0);
    if (!match) return;
    AlignedText::Editor editor(text);
    for (; match; match = matches(match->end)) {
      editor.keep(match->begin - editor.position());
      editor.drop(match->size());
      editor.put_as_previous(content_);
    }
    editor.commit();
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}

  void apply(AlignedText& text) const override {
    if (text.text().empty()) return;
    AlignedText::Editor editor(text);
    editor.put_as_next(prefix_);
    editor.commit();
  }

 private:
  std::string prefix_;
};

/// Bytes become their printable stand-ins.
class ByteLevelNormalizer : public Normalizer {
 public:
  void apply(AlignedText& text) const override {
    const std::string_view all = text.text();
    AlignedText::Editor editor(text);
    while (editor.position() < all.size()) {
      const std::string_view c =
          all.substr(editor.position(), decode_utf8(all, editor.position()).length);
      editor.put_as_next(to_byte_level(c));
      editor.drop(c.size());
    }
    editor.commit();
  }
};

/// Drops control characters and turns unusual white space into blanks.
class Nmt : public Normalizer {
 public:
  void apply(AlignedText& text) const override {
    rewrite_characters(text, [](char32_t c, std::string& written) {
      if (is_blank(c)) written = " ";
      return is_blank(c) || is_dropped(c);
    });
  }

 private:
  static bool is_dropped(char32_t c) {
    return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
           c == 0x8F || c == 0x9F;
  }
  static bool is_blank(char32_t c) {
    return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
  }
};

}  // namespace

void rewrite(AlignedText& text, const std::vector<Change>& changes) {
  const std::string_view old = text.text();
  AlignedText::Editor editor(text);
  std::string written;
  const auto next_length = [&] {
    return editor.position() < old.size() ? decode_utf8(old, editor.position()).length : 0;
  };
  for (const Change& change : changes) {
    written.clear();
    append_utf8(written, change.character);
    if (change.change > 0 || next_length() == 0) {
      editor.put_as_previous(written);
      continue;
    }
    const std::string_view next = old.substr(editor.position(), next_length());
    if (change.change == 0 && next == written) {
      editor.keep(next.size());
      continue;
    }
    editor.put_as_next(written);
    for (int i = change.change; i <= 0; ++i) editor.drop(next_length());
  }
  editor.drop(old.size() - editor.position());
  editor.commit();
}

NormalizerPtr make_strip(const JsonView& json) {
  return std::make_unique<Strip>(json.boolean("strip_left", true),
                                 json.boolean("strip_right", true));
}

NormalizerPtr make_strip_accents(const JsonView&) { return std::make_unique<StripAccents>(); }

NormalizerPtr make_replace(const JsonView& json) {
  return std::make_unique<Replace>(Pattern(json.at("pattern")), json.at("content").string());
}

NormalizerPtr make_prepend(const JsonView& json) {
  return std::make_unique<Prepend>(json.at("prepend").string());
}

NormalizerPtr make_byte_level_normalizer(const JsonView&) {
  return std::make_unique<ByteLevelNormalizer>();
}

NormalizerPtr make_nmt(const JsonView&) { return std::make_unique<Nmt>(); }

}  // namespace peft::tokenizers
