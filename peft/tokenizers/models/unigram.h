#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/tokenizers/models/model.h"
#include "peft/tokenizers/models/trie.h"
#include "peft/tokenizers/models/vocabulary.h"
#include "peft/tokenizers/models/word_cache.h"

namespace peft::tokenizers {

/// A unigram language model: of all ways to cut a piece into tokens the one of the highest sum of
/// scores. Source: tokenizers src/models/unigram/model.rs Unigram
class Unigram : public Model {
 public:
  /// A token and its score, a logarithm of its probability.
  struct Scored {
    std::string_view token;
    double score = 0;
  };
  struct Options {
    std::optional<uint32_t> unk_id = {};  // below the number of tokens
    bool byte_fallback = false;           // unknown characters as <0x00> to <0xFF>
  };

  /// Ids count from zero; of tokens with one text the last one is found.
  /// Throws: FormatError "<where>: ..." (a token of absurd length, or one that is not UTF-8).
  Unigram(const std::vector<Scored>& tokens, Options options, const std::string& where);

  std::unique_ptr<Session> open(bool bytes) const override;
  std::optional<uint32_t> token_to_id(std::string_view token) const override {
    return vocabulary_.find(token);
  }
  std::optional<std::string_view> id_to_token(uint32_t id) const override {
    return vocabulary_.token(id);
  }
  size_t size() const override { return scores_.size(); }

 private:
  class Encoder;

  Vocabulary vocabulary_;
  Trie trie_;
  std::vector<double> scores_;  // by id
  double unknown_score_;
  Options options_;
  std::vector<std::optional<uint32_t>> fallback_ids_;  // of <0x00> to <0xFF>
  mutable WordCachePool caches_;
};

/// Reads a model of type Unigram.  Throws: FormatError.
std::unique_ptr<const Model> read_unigram(const JsonView& json);

}  // namespace peft::tokenizers
