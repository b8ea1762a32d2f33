#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "peft/tokenizers/models/model.h"
#include "peft/tokenizers/normalizers/normalizer.h"
#include "peft/tokenizers/segment.h"

namespace peft::tokenizers {

/// A token beside the model's vocabulary, found in the text before anything else happens to it.
/// Source: tokenizers src/tokenizer/added_vocabulary.rs AddedToken
struct AddedToken {
  uint32_t id = 0;
  std::string content = {};
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and behind it
  bool normalized = true;    // looked for in the normalized text
  bool special = false;      // can be skipped when decoding
  bool keeps_id = false;     // the id counts, whatever the model knows the text by
};

/// Finds many words in a text at once: at each place the longest one.
class WordFinder {
 public:
  /// Throws: FormatError for words of more than 4096 bytes.
  void add(std::string_view word, uint32_t value);

  struct Match {
    Range range;
    uint32_t value = 0;
  };
  /// The first match that starts at `from` or later.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  struct Node {
    std::map<unsigned char, uint32_t> next;
    std::optional<uint32_t> value;
  };
  std::vector<Node> nodes_{1};
  bool starts_[256] = {};  // bytes with which a word begins
};

/// The added tokens of a tokenizer.
class AddedTokens {
 public:
  /// Gives ids to the tokens as Python does: the model's own id where it knows the text, else the
  /// next free one.
  AddedTokens(const std::vector<AddedToken>& tokens, const Model& model,
              const Normalizer* normalizer);

  /// Cuts a text at the added tokens, normalizing what is between them. `text` is valid UTF-8 and
  /// must outlive the segments.
  std::vector<Segment> split(std::string_view text, const Normalizer* normalizer) const;

  std::optional<uint32_t> id(std::string_view content) const;
  const AddedToken* token(uint32_t id) const;
  /// The text of a token for the decoder: normalized, as the decoder undoes the normalizer's work.
  std::optional<std::string_view> text_to_decode(uint32_t id) const;
  bool is_special(uint32_t id) const;
  /// True where a special token is spelled so.
  bool is_special(std::string_view content) const;
  const std::unordered_map<std::string, uint32_t>& ids() const { return ids_; }

 private:
  void cut(std::string_view text, const WordFinder& finder, std::vector<Piece>& pieces) const;

  std::unordered_map<std::string, uint32_t> ids_;
  std::map<uint32_t, AddedToken> tokens_;
  std::unordered_map<uint32_t, std::string> normalized_;  // where it differs from the content
  std::unordered_map<std::string, bool> special_;
  WordFinder raw_, after_normalizing_;
  bool any_raw_ = false, any_normalized_ = false;
};

/// Reads the `added_tokens` of a tokenizer.json.  Throws: FormatError.
std::vector<AddedToken> read_added_tokens(const JsonView& json);

}  // namespace peft::tokenizers
