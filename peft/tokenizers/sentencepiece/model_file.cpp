#include "peft/tokenizers/sentencepiece/model_file.h"

#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/tokenizers/sentencepiece/protobuf.h"

// The numbers of the fields are those of sentencepiece_model.proto.
namespace peft::tokenizers {
namespace {

SentencePieceModel::Piece read_sentence_piece(std::string_view bytes, const std::string& where) {
  SentencePieceModel::Piece piece;
  for (ProtobufReader reader(bytes, where); reader.next();) {
    if (reader.field() == 1) piece.text = reader.text();
    if (reader.field() == 2) piece.score = reader.number();
    if (reader.field() == 3) piece.type = reader.integer();
  }
  return piece;
}

SentencePieceModel::Type read_model_type(int64_t number, const std::string& where) {
  using Type = SentencePieceModel::Type;
  if (number >= static_cast<int64_t>(Type::kUnigram) &&
      number <= static_cast<int64_t>(Type::kChar)) {
    return static_cast<Type>(number);
  }
  throw FormatError(fmt::format(
      "{}: trainer_spec.model_type: expected a number from 1 to 4, got {}. Check the file, or "
      "fetch it again.",
      where, number));
}

void read_trainer_spec(std::string_view bytes, const std::string& where,
                       SentencePieceModel& model) {
  for (ProtobufReader reader(bytes, where); reader.next();) {
    switch (reader.field()) {
      case 3:
        model.type = read_model_type(reader.integer(), where);
        break;
      case 35:
        model.byte_fallback = reader.boolean();
        break;
      case 40:
        model.unk_id = reader.integer();
        break;
      case 41:
        model.bos_id = reader.integer();
        break;
      case 42:
        model.eos_id = reader.integer();
        break;
      case 45:
        model.unk_piece = reader.text();
        break;
      case 46:
        model.bos_piece = reader.text();
        break;
      case 47:
        model.eos_piece = reader.text();
        break;
      default:
        break;
    }
  }
}

}  // namespace

SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& where) {
  SentencePieceModel model;
  for (ProtobufReader reader(bytes, where); reader.next();) {
    if (reader.field() == 1) model.pieces.push_back(read_sentence_piece(reader.bytes(), where));
    if (reader.field() == 2) read_trainer_spec(reader.bytes(), where, model);
    if (reader.field() != 3) continue;
    for (ProtobufReader spec(reader.bytes(), where); spec.next();) {
      if (spec.field() == 2) model.char_map = spec.bytes();
    }
  }
  if (model.pieces.empty()) {
    throw FormatError(fmt::format(
        "{}: not a SentencePiece model: expected pieces, got none. Check the file, or fetch it "
        "again.",
        where));
  }
  return model;
}

}  // namespace peft::tokenizers
