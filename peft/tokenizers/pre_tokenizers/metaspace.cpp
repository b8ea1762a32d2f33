#include "peft/tokenizers/metaspace.h"
#include "peft/base/text.h"
#include "peft/tokenizers/pre_tokenizers/stages.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

class MetaspacePreTokenizer : public PreTokenizer {
 public:
  explicit MetaspacePreTokenizer(MetaspaceOptions options) : options_(std::move(options)) {}

  void apply(Segment& segment) const override {
    replace_spaces(segment);
    if (!options_.split) return;
    split_pieces(segment, SplitBehavior::kMergedWithNext,
                 [this](std::string_view text, std::vector<Stretch>& stretches) {
                   const std::string& mark = options_.replacement;
                   stretches_of_matches(text, stretches, [&](size_t from) -> std::optional<Range> {
                     const size_t at = text.find(mark, from);
                     if (at == std::string_view::npos) return std::nullopt;
                     return Range{at, at + mark.size()};
                   });
                 });
  }

 private:
  void replace_spaces(Segment& segment) const {
    const std::string_view text = segment.text.text();
    AlignedText::Editor editor(segment.text);
    for (Piece& piece : segment.pieces) {
      editor.drop(piece.range.begin - editor.position());
      const size_t begin = editor.written();
      if (piece.added) {
        editor.keep(piece.range.size());
      } else {
        if (wants_prefix(segment, piece)) editor.put_as_next(options_.replacement);
        while (editor.position() < piece.range.end) {
          const size_t space = std::min(text.find(' ', editor.position()), piece.range.end);
          editor.keep(space - editor.position());
          if (space == piece.range.end) break;
          editor.put_as_next(options_.replacement);
          editor.drop(1);
        }
      }
      piece.range = {begin, editor.written()};
    }
    editor.commit();
  }

  bool wants_prefix(const Segment& segment, const Piece& piece) const {
    const std::string_view text = segment.view(piece);
    if (text.starts_with(' ') || text.starts_with(options_.replacement)) return false;
    switch (options_.prepend_scheme) {
      case PrependScheme::kAlways:
        return true;
      case PrependScheme::kFirst:
        return segment.text.source(piece.range).begin == 0;
      case PrependScheme::kNever:
        return false;
    }
    return false;
  }

  MetaspaceOptions options_;
};

PrependScheme read_scheme(const JsonView& json) {
  const std::string name = json.string("prepend_scheme", "always");
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  if (name == "never") return PrependScheme::kNever;
  json.at("prepend_scheme").fail("expected always, first or never, got " + quote(name));
}

}  // namespace

MetaspaceOptions read_metaspace(const JsonView& json) {
  MetaspaceOptions options;
  options.replacement = json.at("replacement").string();
  if (count_characters(options.replacement) != 1) {
    json.at("replacement").fail("expected one character, got " + quote(options.replacement));
  }
  options.prepend_scheme = read_scheme(json);
  if (!json.boolean("add_prefix_space", true)) {
    if (json.has("prepend_scheme") && options.prepend_scheme != PrependScheme::kNever) {
      json.fail("add_prefix_space is false, but prepend_scheme is not \"never\"");
    }
    options.prepend_scheme = PrependScheme::kNever;
  }
  options.split = json.boolean("split", true);
  return options;
}

PreTokenizerPtr make_metaspace_pre_tokenizer(const JsonView& json) {
  return std::make_unique<MetaspacePreTokenizer>(read_metaspace(json));
}

}  // namespace peft::tokenizers
