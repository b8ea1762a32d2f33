#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace peft::tokenizers {

/// What a SentencePiece model file says, as far as encoding needs it, with the defaults of its
/// schema. Source: sentencepiece src/sentencepiece_model.proto
struct SentencePieceModel {
  enum class Type { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  enum PieceType {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };

  struct Piece {
    std::string text;
    float score = 0;
    int64_t type = kNormal;
  };

  std::vector<Piece> pieces;  // by id
  Type type = Type::kUnigram;
  bool byte_fallback = false;
  int64_t unk_id = 0, bos_id = 1, eos_id = 2;  // -1: none
  std::string unk_piece = "<unk>", bos_piece = "<s>", eos_piece = "</s>";
  std::string char_map;  // compiled; empty: none
};

/// Throws: FormatError (no such file, no pieces).
SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& where);

}  // namespace peft::tokenizers
