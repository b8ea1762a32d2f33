#pragma once

#include <memory>
#include <string>

#include "peft/tokenizers/models/model.h"
#include "peft/tokenizers/models/vocabulary.h"

namespace peft::tokenizers {

/// WordLevel: a piece is one token as a whole, or the unknown token.
/// Source: tokenizers src/models/wordlevel/mod.rs WordLevel
class WordLevel : public Model {
 public:
  /// Throws: FormatError "<where>: ..." as Vocabulary does.
  WordLevel(const std::vector<Vocabulary::Entry>& entries, std::string unk_token,
            const std::string& where)
      : vocabulary_(entries, where), unk_token_(std::move(unk_token)) {}

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

  Vocabulary vocabulary_;
  std::string unk_token_;
};

/// Reads a model of type WordLevel.  Throws: FormatError.
std::unique_ptr<const Model> read_wordlevel(const JsonView& json);

}  // namespace peft::tokenizers
