#include <algorithm>

#include "peft/tokenizers/byte_level.h"
#include "peft/tokenizers/processors/stages.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

bool is_blank(char32_t c) {
  return c == byte_level_characters()[' '] || (char_class_table()[c] & kSpace) != 0;
}

size_t leading_blanks(std::string_view token) {
  size_t count = 0;
  for (size_t at = 0; at < token.size(); ++count) {
    const CodePoint c = decode_utf8(token, at);
    if (!is_blank(c.value)) break;
    at += c.length;
  }
  return count;
}

size_t trailing_blanks(std::string_view token) {
  size_t count = 0;
  for (size_t end = token.size(); end > 0; ++count) {
    const CodePoint c = decode_utf8_before(token, end);
    if (!is_blank(c.value)) break;
    end -= c.length;
  }
  return count;
}

/// The white space at both ends of a token.
struct Blanks {
  size_t leading = 0, trailing = 0;
};

Blanks blanks_of(int64_t id, size_t length, const TokenNames& names) {
  const AddedToken* const added = names.added(id);
  if (added != nullptr && (added->lstrip || added->rstrip)) {
    // What it took along of the text around it.
    const size_t more = length - std::min(length, added->content.size());
    return added->lstrip ? Blanks{more, 0} : Blanks{0, more};
  }
  const std::string token = names.name(id);
  return {leading_blanks(token), trailing_blanks(token)};
}

class ByteLevelProcessor : public Processor {
 public:
  ByteLevelProcessor(bool add_prefix_space, const TokenNames* trims)
      : add_prefix_space_(add_prefix_space), trims_(trims) {}

  void apply(std::vector<Encoding>& texts, bool) const override {
    if (trims_ == nullptr) return;
    for (Encoding& text : texts) trim_offsets(text, add_prefix_space_, *trims_);
  }
  size_t added_tokens(size_t) const override { return 0; }

 private:
  bool add_prefix_space_;
  const TokenNames* trims_;
};

}  // namespace

void trim_offsets(Encoding& encoding, bool add_prefix_space, const TokenNames& names) {
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    auto& [begin, end] = encoding.offsets[i];
    auto [leading, trailing] = blanks_of(encoding.ids[i], end - begin, names);
    // A blank that add_prefix_space put there is not in the text.
    if (leading == 1 && add_prefix_space && (i == 0 || begin == 0)) leading = 0;
    begin = std::min(begin + leading, end);
    if (trailing > 0 && end >= trailing) end = std::max(end - trailing, begin);
  }
}

ProcessorPtr make_byte_level_processor(const JsonView& json, const TokenNames& names) {
  return std::make_unique<ByteLevelProcessor>(
      json.boolean("add_prefix_space", true),
      json.boolean("trim_offsets", true) ? &names : nullptr);
}

}  // namespace peft::tokenizers
