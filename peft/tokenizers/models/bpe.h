#pragma once

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "peft/tokenizers/models/merges.h"
#include "peft/tokenizers/models/model.h"
#include "peft/tokenizers/models/vocabulary.h"
#include "peft/tokenizers/models/word_cache.h"

namespace peft::tokenizers {

/// The settings of a byte-pair encoding, named as in tokenizer.json.
struct BpeOptions {
  std::string unk_token = {};  // empty: none
  std::string continuing_subword_prefix = {};
  std::string end_of_word_suffix = {};
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;
};

/// Byte-pair encoding: a piece becomes characters (or bytes), then neighbours are merged by rank.
/// Source: tokenizers src/models/bpe/model.rs BPE
class Bpe : public Model {
 public:
  Bpe(Vocabulary vocabulary, const std::vector<MergeTable::Merge>& merges, BpeOptions options);

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
  /// An unknown character that waits to be written, or to be fused with the next one.
  struct Unknown {
    bool waiting = false;
    Token token;
  };

  void find_cuts(const std::vector<MergeTable::Merge>& merges);
  bool can_cut_before_mark(char32_t previous) const;
  /// Appends the characters of a word, not yet merged.
  void spell(std::string_view word, std::vector<Token>& tokens) const;
  bool spell_bytes(std::string_view character, std::vector<Token>& tokens) const;
  void spell_unknown(uint32_t length, Unknown& unknown, std::vector<Token>& tokens) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  BpeOptions options_;
  std::vector<std::optional<uint32_t>> byte_ids_;      // of the stand-ins, by byte
  std::vector<std::optional<uint32_t>> fallback_ids_;  // of <0x00> to <0xFF>
  bool spells_all_bytes_ = false;  // every stand-in is a token, and characters are spelled plainly
  bool cuts_ = false;              // words may be cut before the SentencePiece mark
  std::unordered_set<char32_t> joined_to_mark_;  // characters that a merge joins to a mark behind

  mutable WordCachePool caches_;
};

/// Reads a model of type BPE.  Throws: FormatError.
std::unique_ptr<const Model> read_bpe(const JsonView& json);

}  // namespace peft::tokenizers
