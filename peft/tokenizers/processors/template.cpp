#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>

#include "peft/base/text.h"
#include "peft/tokenizers/processors/stages.h"
#include "peft/tokenizers/processors/template_pieces.h"

namespace peft::tokenizers {
namespace {

constexpr int64_t kMostIds = std::numeric_limits<int32_t>::max();

using Pieces = std::vector<TemplatePiece>;

size_t count_special(const Pieces& pieces) {
  return static_cast<size_t>(std::count_if(pieces.begin(), pieces.end(), [](const auto& piece) {
    return std::holds_alternative<SpecialToken>(piece);
  }));
}

void append_special(Encoding& to, SpecialToken token) {
  to.ids.push_back(token.id);
  to.type_ids.push_back(token.type_id);
  to.attention_mask.push_back(1);
  to.special_tokens_mask.push_back(1);
  to.offsets.emplace_back(0, 0);
}

class TemplateProcessing : public Processor {
 public:
  TemplateProcessing(Pieces single, Pieces pair)
      : single_(std::move(single)), pair_(std::move(pair)) {}

  void apply(std::vector<Encoding>& texts, bool add_special_tokens) const override {
    const Pieces& pieces = texts.size() == 1 ? single_ : pair_;
    for (const TemplatePiece& piece : pieces) {
      const auto* const place = std::get_if<TextPlace>(&piece);
      if (place != nullptr && place->text < texts.size()) {
        texts[place->text].type_ids.assign(texts[place->text].ids.size(), place->type_id);
      }
    }
    if (texts.size() == 1 && pieces.size() == 1 + count_special(pieces) &&
        (!add_special_tokens || pieces.size() == 1)) {
      return;  // the usual case: the text once, nothing to copy
    }
    Encoding made;
    for (const TemplatePiece& piece : pieces) {
      if (const auto* place = std::get_if<TextPlace>(&piece)) {
        if (place->text < texts.size()) append(made, texts[place->text]);
      } else if (add_special_tokens) {
        append_special(made, std::get<SpecialToken>(piece));
      }
    }
    texts.clear();
    texts.push_back(std::move(made));
  }

  size_t added_tokens(size_t texts) const override {
    return count_special(texts == 1 ? single_ : pair_);
  }

 private:
  Pieces single_, pair_;
};

void read_special(const JsonView& piece, const JsonView& known, int64_t type_id, Pieces& pieces) {
  const JsonView id = piece.at("id");
  const std::string name = id.string();
  if (!known.has(name)) id.fail(quote(name) + " is not among the special_tokens");
  for (const JsonView& number : known.at(name).at("ids").items()) {
    pieces.push_back(SpecialToken{number.integer(kMostIds), type_id});
  }
}

TextPlace read_place(const JsonView& sequence, size_t texts) {
  const JsonView id = sequence.at("id");
  const std::string name = id.string();
  const size_t text = name == "A" ? 0 : 1;
  if (name != "A" && name != "B") id.fail("expected 'A' or 'B', got " + quote(name));
  if (text >= texts) {
    id.fail("the template for one text uses another one: expected 'A', got " + quote(name));
  }
  return {text, sequence.at("type_id").integer(kMostIds)};
}

/// The template for so many texts.
Pieces read_pieces(const JsonView& list, const JsonView& known, size_t texts) {
  Pieces pieces;
  std::array<bool, 2> seen = {};
  for (const JsonView& piece : list.items()) {
    if (!piece.has("Sequence")) {
      const JsonView special = piece.at("SpecialToken");
      read_special(special, known, special.at("type_id").integer(kMostIds), pieces);
      continue;
    }
    const JsonView sequence = piece.at("Sequence");
    const TextPlace place = read_place(sequence, texts);
    // Templates of templates would double the text again and again.
    if (seen[place.text]) sequence.fail("the text is there twice: expected it once");
    seen[place.text] = true;
    pieces.push_back(place);
  }
  return pieces;
}

}  // namespace

ProcessorPtr make_template_processor(Pieces single, Pieces pair) {
  return std::make_unique<TemplateProcessing>(std::move(single), std::move(pair));
}

ProcessorPtr make_template_processing(const JsonView& json) {
  const JsonView known = json.at("special_tokens");
  return make_template_processor(read_pieces(json.at("single"), known, 1),
                                 json.has("pair") ? read_pieces(json.at("pair"), known, 2)
                                                  : Pieces{TextPlace{0, 0}, TextPlace{1, 1}});
}

std::unique_ptr<const Processor> make_bracket_processor(std::optional<int64_t> first,
                                                        std::optional<int64_t> last) {
  Pieces single, pair;
  for (size_t text = 0; text < 2; ++text) {
    const auto type_id = static_cast<int64_t>(text);
    if (first) pair.push_back(SpecialToken{*first, type_id});
    pair.push_back(TextPlace{text, type_id});
    if (last) pair.push_back(SpecialToken{*last, type_id});
    if (text == 0) single = pair;
  }
  return make_template_processor(std::move(single), std::move(pair));
}

void append(Encoding& to, const Encoding& more) {
  const size_t shift = to.ids.size();
  const auto add = [](auto& list, const auto& values) {
    list.insert(list.end(), values.begin(), values.end());
  };
  add(to.ids, more.ids);
  add(to.type_ids, more.type_ids);
  add(to.attention_mask, more.attention_mask);
  add(to.special_tokens_mask, more.special_tokens_mask);
  add(to.offsets, more.offsets);
  for (size_t i = 0; i < to.text_ranges.size(); ++i) {
    const auto [begin, end] = more.text_ranges[i];
    if (begin < end) to.text_ranges[i] = {shift + begin, shift + end};
  }
}

}  // namespace peft::tokenizers
