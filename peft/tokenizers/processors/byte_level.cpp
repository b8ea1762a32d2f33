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

class ByteLevelProcessor : public Processor {
 public:
  ByteLevelProcessor(bool add_prefix_space, const TokenNames* trims)
      : add_prefix_space_(add_prefix_space), trims_(trims) {}

  void apply(Encoding& encoding, bool) const override {
    if (trims_ != nullptr) trim_offsets(encoding, add_prefix_space_, *trims_);
  }
  size_t added_tokens() const override { return 0; }

 private:
  bool add_prefix_space_;
  const TokenNames* trims_;
};

class ClsSep : public Processor {
 public:
  ClsSep(int64_t cls, int64_t sep, bool add_prefix_space, const TokenNames* trims)
      : around_(make_bracket_processor(cls, sep)), trim_(add_prefix_space, trims) {}

  void apply(Encoding& encoding, bool add_special_tokens) const override {
    trim_.apply(encoding, add_special_tokens);
    around_->apply(encoding, add_special_tokens);
  }
  size_t added_tokens() const override { return around_->added_tokens(); }

 private:
  ProcessorPtr around_;
  ByteLevelProcessor trim_;
};

/// ["[CLS]", 101]
int64_t read_token(const JsonView& json) {
  const std::vector<JsonView> parts = json.items();
  if (parts.size() != 2) json.fail("expected [token, id]");
  return parts[1].integer(INT32_MAX);
}

}  // namespace

void trim_offsets(Encoding& encoding, bool add_prefix_space, const TokenNames& names) {
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const std::string token = names.name(encoding.ids[i]);
    auto& [begin, end] = encoding.offsets[i];
    size_t leading = leading_blanks(token);
    const size_t trailing = trailing_blanks(token);
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

ProcessorPtr make_cls_sep(const JsonView& json, const TokenNames* trims) {
  const bool trim = trims != nullptr && json.boolean("trim_offsets", true);
  return std::make_unique<ClsSep>(read_token(json.at("cls")), read_token(json.at("sep")),
                                  json.boolean("add_prefix_space", true), trim ? trims : nullptr);
}

}  // namespace peft::tokenizers
