#include <fmt/core.h>

#include <limits>
#include <variant>

#include "peft/base/text.h"
#include "peft/tokenizers/processors/stages.h"

namespace peft::tokenizers {
namespace {

constexpr int64_t kMostIds = std::numeric_limits<int32_t>::max();

/// The place of the text in a template.
struct TextPlace {
  int64_t type_id = 0;
};

using TemplatePiece = std::variant<TextPlace, SpecialToken>;

class TemplateProcessing : public Processor {
 public:
  explicit TemplateProcessing(std::vector<TemplatePiece> pieces) : pieces_(std::move(pieces)) {}

  void apply(Encoding& encoding, bool add_special_tokens) const override {
    if (!add_special_tokens && pieces_.size() == added_tokens() + 1) {
      // The usual case: the text once, nothing to copy.
      for (const TemplatePiece& piece : pieces_) {
        if (const auto* place = std::get_if<TextPlace>(&piece)) {
          encoding.type_ids.assign(encoding.ids.size(), place->type_id);
        }
      }
      return;
    }
    Encoding made;
    for (const TemplatePiece& piece : pieces_) {
      if (const auto* place = std::get_if<TextPlace>(&piece)) {
        append_text(made, encoding, place->type_id);
      } else if (add_special_tokens) {
        append(made, std::get<SpecialToken>(piece));
      }
    }
    encoding = std::move(made);
  }

  size_t added_tokens() const override {
    size_t count = 0;
    for (const TemplatePiece& piece : pieces_) count += std::holds_alternative<SpecialToken>(piece);
    return count;
  }

 private:
  static void append_text(Encoding& to, const Encoding& from, int64_t type_id) {
    const auto add = [](auto& list, const auto& more) {
      list.insert(list.end(), more.begin(), more.end());
    };
    add(to.ids, from.ids);
    to.type_ids.insert(to.type_ids.end(), from.ids.size(), type_id);
    add(to.attention_mask, from.attention_mask);
    add(to.special_tokens_mask, from.special_tokens_mask);
    add(to.offsets, from.offsets);
  }

  std::vector<TemplatePiece> pieces_;
};

void read_special(const JsonView& piece, const JsonView& known, int64_t type_id,
                  std::vector<TemplatePiece>& pieces) {
  const JsonView id = piece.at("id");
  const std::string name = id.string();
  if (!known.has(name)) id.fail(quote(name) + " is not among the special_tokens");
  for (const JsonView& number : known.at(name).at("ids").items()) {
    pieces.push_back(SpecialToken{number.integer(kMostIds), type_id});
  }
}

}  // namespace

ProcessorPtr make_template_processing(const JsonView& json) {
  std::vector<TemplatePiece> pieces;
  bool text_seen = false;
  for (const JsonView& piece : json.at("single").items()) {
    if (piece.has("Sequence")) {
      const JsonView sequence = piece.at("Sequence");
      if (sequence.at("id").string() != "A") {
        sequence.at("id").fail("the template for one text uses another one: expected 'A', got " +
                               quote(sequence.at("id").string()));
      }
      // Templates of templates would double the text again and again.
      if (text_seen) sequence.fail("the text is there twice: expected it once");
      text_seen = true;
      pieces.push_back(TextPlace{sequence.at("type_id").integer(kMostIds)});
    } else {
      const JsonView special = piece.at("SpecialToken");
      read_special(special, json.at("special_tokens"), special.at("type_id").integer(kMostIds),
                   pieces);
    }
  }
  return std::make_unique<TemplateProcessing>(std::move(pieces));
}

std::unique_ptr<const Processor> make_bracket_processor(std::optional<int64_t> first,
                                                        std::optional<int64_t> last) {
  std::vector<TemplatePiece> pieces;
  if (first) pieces.push_back(SpecialToken{*first, 0});
  pieces.push_back(TextPlace{});
  if (last) pieces.push_back(SpecialToken{*last, 0});
  return std::make_unique<TemplateProcessing>(std::move(pieces));
}

void append(Encoding& encoding, SpecialToken token) {
  encoding.ids.push_back(token.id);
  encoding.type_ids.push_back(token.type_id);
  encoding.attention_mask.push_back(1);
  encoding.special_tokens_mask.push_back(1);
  encoding.offsets.emplace_back(0, 0);
}

}  // namespace peft::tokenizers
