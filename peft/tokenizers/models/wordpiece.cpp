#include "peft/tokenizers/models/wordpiece.h"

#include <limits>

#include "peft/tokenizers/models/stand_ins.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {

class WordPiece::Encoder : public Model::Session {
 public:
  Encoder(const WordPiece& model, bool bytes)
      : model_(model), bytes_(bytes), cache_(model.caches_) {}

  void tokenize(std::string_view piece, std::vector<Token>& tokens) override {
    cache_->append(piece, tokens, [&] {
      if (!bytes_) return model_.tokenize_word(piece, tokens);
      tokenize_stand_ins(piece, tokens,
                         [&](std::string_view text) { model_.tokenize_word(text, tokens); });
    });
  }

 private:
  const WordPiece& model_;
  bool bytes_;
  WordCachePool::Borrowed cache_;
};

WordPiece::WordPiece(const std::vector<Vocabulary::Entry>& entries, WordPieceOptions options,
                     const std::string& where)
    : vocabulary_(entries, where), trie_(entries, where), options_(std::move(options)) {
  inside_ = trie_.walk(Trie::root(), options_.continuing_subword_prefix);
}

std::unique_ptr<Model::Session> WordPiece::open(bool bytes) const {
  return std::make_unique<Encoder>(*this, bytes);
}

void WordPiece::tokenize_word(std::string_view word, std::vector<Token>& tokens) const {
  const size_t from = tokens.size();
  if (count_characters(word) <= options_.max_input_chars_per_word && cover(word, tokens)) return;
  tokens.resize(from);
  tokens.push_back({vocabulary_.unknown(options_.unk_token), static_cast<uint32_t>(word.size())});
}

bool WordPiece::cover(std::string_view word, std::vector<Token>& tokens) const {
  for (size_t begin = 0; begin < word.size();) {
    Trie::Node node = begin == 0 ? Trie::root() : inside_;
    Token longest;
    for (size_t at = begin; at < word.size() && node != Trie::kNone;) {
      node = trie_.step(node, word[at++]);
      if (node == Trie::kNone || trie_.id(node) == Trie::kNone) continue;
      longest = {trie_.id(node), static_cast<uint32_t>(at - begin)};
    }
    if (longest.length == 0) return false;
    tokens.push_back(longest);
    begin += longest.length;
  }
  return true;
}

std::unique_ptr<const Model> read_wordpiece(const JsonView& json) {
  WordPieceOptions options;
  options.unk_token = json.string("unk_token", options.unk_token);
  options.continuing_subword_prefix =
      json.string("continuing_subword_prefix", options.continuing_subword_prefix);
  if (json.has("max_input_chars_per_word")) {
    options.max_input_chars_per_word = static_cast<size_t>(
        json.at("max_input_chars_per_word").integer(std::numeric_limits<int64_t>::max()));
  }
  const JsonView vocabulary = json.at("vocab");
  return std::make_unique<WordPiece>(read_entries(vocabulary), std::move(options),
                                     vocabulary.where());
}

}  // namespace peft::tokenizers
