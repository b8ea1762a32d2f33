#include "peft/tokenizers/models/bpe.h"

#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/tokenizers/byte_level.h"
#include "peft/tokenizers/models/stand_ins.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {
namespace {

constexpr char32_t kWordMark = 0x2581;  // SentencePiece writes a blank so
constexpr std::string_view kMarkText = "\u2581";

}  // namespace

/// Encodes piece after piece with one cache, which it borrows from the model.
class Bpe::Encoder : public Model::Session {
 public:
  Encoder(const Bpe& model, bool bytes)
      : model_(model), bytes_(bytes), merger_(model.merges_), cache_(model.caches_) {}

  void tokenize(std::string_view piece, std::vector<Token>& tokens) override {
    if (!model_.cuts_ || bytes_) return tokenize_word(piece, tokens);
    // Nothing joins what lies before a word's mark to the mark, so words can be looked up one by
    // one.
    for (size_t begin = 0; begin < piece.size();) {
      size_t end = piece.find(kMarkText, begin + 1);
      while (end != std::string_view::npos &&
             !model_.can_cut_before_mark(decode_utf8_before(piece, end).value)) {
        end = piece.find(kMarkText, end + 1);
      }
      end = std::min(end, piece.size());
      tokenize_word(piece.substr(begin, end - begin), tokens);
      begin = end;
    }
  }

 private:
  void tokenize_word(std::string_view word, std::vector<Token>& tokens) {
    cache_->append(word, tokens, [&] { compute(word, tokens); });
  }

  void compute(std::string_view word, std::vector<Token>& tokens) {
    if (!bytes_) return compute_text(word, tokens);
    if (!model_.spells_all_bytes_) {
      // The vocabulary lacks some of the 256 stand-ins.
      return tokenize_stand_ins(word, tokens,
                                [&](std::string_view text) { compute_text(text, tokens); });
    }
    if (model_.options_.ignore_merges) {
      if (const auto whole = model_.vocabulary_.find(to_byte_level(word))) {
        tokens.push_back({*whole, static_cast<uint32_t>(word.size())});
        return;
      }
    }
    const size_t from = tokens.size();
    for (const char byte : word) {
      tokens.push_back({*model_.byte_ids_[static_cast<unsigned char>(byte)], 1});
    }
    merger_.merge(tokens, from);
  }

  void compute_text(std::string_view text, std::vector<Token>& tokens) {
    const size_t from = tokens.size();
    if (model_.options_.ignore_merges) {
      if (const auto whole = model_.vocabulary_.find(text)) {
        tokens.push_back({*whole, static_cast<uint32_t>(text.size())});
        return;
      }
    }
    model_.spell(text, tokens);
    merger_.merge(tokens, from);
  }

  const Bpe& model_;
  bool bytes_;
  Merger merger_;
  WordCachePool::Borrowed cache_;
};

Bpe::Bpe(Vocabulary vocabulary, const std::vector<MergeTable::Merge>& merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), merges_(merges), options_(std::move(options)) {
  const bool plain =
      options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
  spells_all_bytes_ = plain;
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_.push_back(vocabulary_.find(to_byte_level(std::string(1, static_cast<char>(byte)))));
    fallback_ids_.push_back(vocabulary_.find(fmt::format("<0x{:02X}>", byte)));
    if (!byte_ids_.back()) spells_all_bytes_ = false;
  }
  if (plain && !options_.ignore_merges && vocabulary_.find(kMarkText)) find_cuts(merges);
}

void Bpe::find_cuts(const std::vector<MergeTable::Merge>& merges) {
  cuts_ = true;
  for (const MergeTable::Merge& merge : merges) {
    const std::string_view right = *vocabulary_.token(merge.right);
    if (!right.starts_with(kMarkText)) continue;
    const std::string_view left = *vocabulary_.token(merge.left);
    joined_to_mark_.insert(decode_utf8_before(left, left.size()).value);
  }
}

bool Bpe::can_cut_before_mark(char32_t previous) const {
  if (previous == kWordMark || joined_to_mark_.contains(previous)) return false;
  std::string character;
  append_utf8(character, previous);
  return vocabulary_.find(character).has_value();  // an unknown one might be waiting
}

std::unique_ptr<Model::Session> Bpe::open(bool bytes) const {
  return std::make_unique<Encoder>(*this, bytes);
}

void Bpe::spell(std::string_view word, std::vector<Token>& tokens) const {
  Unknown unknown;
  std::string spelled;
  for (size_t at = 0; at < word.size();) {
    const uint32_t length = decode_utf8(word, at).length;
    const std::string_view character = word.substr(at, length);
    spelled.clear();
    if (at > 0) spelled += options_.continuing_subword_prefix;
    spelled += character;
    at += length;
    if (at == word.size()) spelled += options_.end_of_word_suffix;
    if (const auto id = vocabulary_.find(spelled)) {
      if (unknown.waiting) tokens.push_back(unknown.token);
      unknown.waiting = false;
      tokens.push_back({*id, length});
    } else if (!options_.byte_fallback || !spell_bytes(spelled, tokens)) {
      spell_unknown(length, unknown, tokens);
    }
  }
  if (unknown.waiting) tokens.push_back(unknown.token);
}

bool Bpe::spell_bytes(std::string_view character, std::vector<Token>& tokens) const {
  for (const char byte : character) {
    if (!fallback_ids_[static_cast<unsigned char>(byte)]) return false;
  }
  for (const char byte : character) {
    tokens.push_back({*fallback_ids_[static_cast<unsigned char>(byte)], 1});
  }
  return true;
}

void Bpe::spell_unknown(uint32_t length, Unknown& unknown, std::vector<Token>& tokens) const {
  if (options_.unk_token.empty()) return;  // the character is dropped, as Python does
  if (unknown.waiting && options_.fuse_unk) {
    unknown.token.length += length;
    return;
  }
  if (unknown.waiting) tokens.push_back(unknown.token);
  unknown = {true, {vocabulary_.unknown(options_.unk_token), length}};
}

}  // namespace peft::tokenizers
