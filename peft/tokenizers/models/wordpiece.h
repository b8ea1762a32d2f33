#pragma once

#include <memory>
#include <string>

#include "peft/tokenizers/models/model.h"
#include "peft/tokenizers/models/trie.h"
#include "peft/tokenizers/models/vocabulary.h"
#include "peft/tokenizers/models/word_cache.h"

namespace peft::tokenizers {

/// The settings of a WordPiece model, named as in tokenizer.json.
struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string continuing_subword_prefix = "##";
  size_t max_input_chars_per_word = 100;
};

/// WordPiece: at each place of a word the longest token; a word that cannot be covered so becomes
/// the unknown token as a whole. Source: tokenizers src/models/wordpiece/mod.rs WordPiece
class WordPiece : public Model {
 public:
  /// Throws: FormatError "<where>: ..." (a token of absurd length).
  WordPiece(const std::vector<Vocabulary::Entry>& entries, WordPieceOptions options,
            const std::string& where);

  std::unique_ptr<Session> open(bool bytes) const override;
  std::optional<uint32_t> token_to_id(std::string_view token) const override {
    return vocabulary_.find(token);
  }
  std::optional<std::string_view> id_to_token(uint32_t id) const override {
    return vocabulary_.token(id);
  }
  size_t size() const override { return vocabulary_.size(); }

 private:
  class Encoder;

  void tokenize_word(std::string_view word, std::vector<Token>& tokens) const;
  /// Appends the tokens of a word; false where they do not cover it.
  bool cover(std::string_view word, std::vector<Token>& tokens) const;

  Vocabulary vocabulary_;
  Trie trie_;
  WordPieceOptions options_;
  Trie::Node inside_ = Trie::root();  // where the tokens inside of a word begin
  mutable WordCachePool caches_;
};

/// Reads a model of type WordPiece.  Throws: FormatError.
std::unique_ptr<const Model> read_wordpiece(const JsonView& json);

}  // namespace peft::tokenizers
