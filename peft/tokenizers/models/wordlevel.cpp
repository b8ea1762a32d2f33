#include "peft/tokenizers/models/wordlevel.h"

#include "peft/tokenizers/byte_level.h"

namespace peft::tokenizers {

class WordLevel::Encoder : public Model::Session {
 public:
  Encoder(const WordLevel& model, bool bytes) : model_(model), bytes_(bytes) {}

  void tokenize(std::string_view piece, std::vector<Token>& tokens) override {
    const Vocabulary& vocabulary = model_.vocabulary_;
    const auto found = vocabulary.find(bytes_ ? to_byte_level(piece) : std::string(piece));
    tokens.push_back({found ? *found : vocabulary.unknown(model_.unk_token_),
                      static_cast<uint32_t>(piece.size())});
  }

 private:
  const WordLevel& model_;
  bool bytes_;
};

std::unique_ptr<Model::Session> WordLevel::open(bool bytes) const {
  return std::make_unique<Encoder>(*this, bytes);
}

std::unique_ptr<const Model> read_wordlevel(const JsonView& json) {
  const JsonView vocabulary = json.at("vocab");
  return std::make_unique<WordLevel>(read_entries(vocabulary), json.at("unk_token").string(),
                                     vocabulary.where());
}

}  // namespace peft::tokenizers
