#include "peft/tokenizers/byte_level.h"

#include "peft/tokenizers/pre_tokenizers/scanners.h"
#include "peft/tokenizers/pre_tokenizers/stages.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

class ByteLevelPreTokenizer : public PreTokenizer {
 public:
  ByteLevelPreTokenizer(bool add_prefix_space, bool use_regex)
      : add_prefix_space_(add_prefix_space), use_regex_(use_regex) {}

  void apply(Segment& segment) const override {
    if (add_prefix_space_) add_spaces(segment);
    if (use_regex_) {
      static const Scanner scan = find_scanner(kGpt2Pattern);
      split_pieces(segment, SplitBehavior::kIsolated,
                   [](std::string_view text, std::vector<Stretch>& stretches) {
                     for (size_t at = 0; at < text.size();) {
                       const size_t end = scan(text, at);
                       stretches.push_back({{at, end}, true});
                       at = end;
                     }
                   });
    }
    segment.bytes = true;
  }

 private:
  static void add_spaces(Segment& segment) {
    AlignedText::Editor editor(segment.text);
    for (Piece& piece : segment.pieces) {
      editor.drop(piece.range.begin - editor.position());
      const size_t begin = editor.written();
      if (!piece.added && segment.view(piece).front() != ' ') editor.put_as_next(" ");
      editor.keep(piece.range.size());
      piece.range = {begin, editor.written()};
    }
    editor.commit();
  }

  bool add_prefix_space_, use_regex_;
};

}  // namespace

void write_out_bytes(Segment& segment) {
  AlignedText::Editor editor(segment.text);
  const std::string_view text = segment.text.text();
  for (Piece& piece : segment.pieces) {
    editor.drop(piece.range.begin - editor.position());
    const Range old = piece.range;
    piece.range.begin = editor.written();
    if (piece.added) editor.keep(old.size());
    while (editor.position() < old.end) {
      const CodePoint c = decode_utf8(text, editor.position());
      editor.put_as_next(to_byte_level(text.substr(editor.position(), c.length)));
      editor.drop(c.length);
    }
    piece.range.end = editor.written();
  }
  editor.commit();
  segment.bytes = false;
}

PreTokenizerPtr make_byte_level_pre_tokenizer(const JsonView& json) {
  return std::make_unique<ByteLevelPreTokenizer>(json.boolean("add_prefix_space", true),
                                                 json.boolean("use_regex", true));
}

}  // namespace peft::tokenizers
