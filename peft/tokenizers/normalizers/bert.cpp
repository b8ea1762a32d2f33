#include <string>
#include <utility>

#include "peft/tokenizers/normalizers/stages.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

/// The blocks that the original BERT counts as Chinese, as its authors wrote them down.
constexpr std::pair<char32_t, char32_t> kChinese[] = {
    {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},  {0x20000, 0x2A6DF},
    {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};

bool is_chinese(char32_t c) {
  for (const auto& [first, last] : kChinese) {
    if (c >= first && c <= last) return true;
  }
  return false;
}

struct BertOptions {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};

/// BERT's cleaning: no control characters, blanks around Chinese, no accents, lower case.
/// Source: tokenizers src/normalizers/bert.rs
class BertNormalizer : public Normalizer {
 public:
  explicit BertNormalizer(const BertOptions& options) : options_(options) {}

  void apply(AlignedText& text) const override {
    if (options_.clean_text) clean(text);
    if (options_.handle_chinese_chars) part_chinese(text);
    if (options_.strip_accents) {
      decompose_->apply(text);
      strip_accents(text);
    }
    if (options_.lowercase) lowercase_->apply(text);
  }

 private:
  static void clean(AlignedText& text) {
    const uint16_t* const table = char_class_table();
    rewrite_characters(text, [table](char32_t c, std::string& written) {
      if ((table[c] & (kInvisible | kSpace)) == 0 || c == ' ') return false;
      if ((table[c] & kInvisible) == 0) written = " ";
      return true;
    });
  }

  static void part_chinese(AlignedText& text) {
    rewrite_characters(text, [](char32_t c, std::string& written) {
      if (!is_chinese(c)) return false;
      written = " ";
      append_utf8(written, c);
      written += ' ';
      return true;
    });
  }

  static void strip_accents(AlignedText& text) {
    const uint16_t* const table = char_class_table();
    rewrite_characters(text,
                       [table](char32_t c, std::string&) { return (table[c] & kNonspacing) != 0; });
  }

  BertOptions options_;
  NormalizerPtr decompose_ = make_unicode_form(UnicodeForm::kNfd);
  NormalizerPtr lowercase_ = make_lowercase();
};

}  // namespace

NormalizerPtr make_bert_normalizer(const JsonView& json) {
  BertOptions options;
  options.clean_text = json.boolean("clean_text", true);
  options.handle_chinese_chars = json.boolean("handle_chinese_chars", true);
  options.lowercase = json.boolean("lowercase", true);
  options.strip_accents = json.boolean("strip_accents", options.lowercase);
  return std::make_unique<BertNormalizer>(options);
}

}  // namespace peft::tokenizers
