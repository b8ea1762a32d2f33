#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "peft/tokenizers/aligned_text.h"

namespace peft::tokenizers {

/// A part of a segment: one word for the model, or an added token that was found in the text.
struct Piece {
  Range range;                   // in the segment's text
  std::optional<int64_t> added;  // the id of an added token; no stage touches such a piece
};

/// A stretch of the input on its way through the stages: normalized, then cut into pieces.
struct Segment {
  AlignedText text;
  std::vector<Piece> pieces;
  /// The pre-tokenizer ByteLevel came last: the model reads bytes, each in the guise of one of its
  /// 256 printable characters, without the text being rewritten.
  bool bytes = false;

  std::string_view view(const Piece& piece) const {
    return text.text().substr(piece.range.begin, piece.range.size());
  }
};

}  // namespace peft::tokenizers
