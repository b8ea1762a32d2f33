#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "peft/tokenizers/added_tokens.h"
#include "peft/tokenizers/json_view.h"
#include "peft/tokenizers/tokenizer.h"

namespace peft::tokenizers {

/// The special tokens that a tokenizer_config.json names by role, and those that its class has
/// where it is silent: for folders without a tokenizer.json.
/// Source: transformers src/transformers/tokenization_utils_tokenizers.py TokenizersBackend
class NamedTokens {
 public:
  struct Role {
    std::string_view key;   // "bos_token"
    std::string_view text;  // where the config does not say it
  };

  /// Throws: FormatError.
  NamedTokens(const JsonView& config, const std::vector<Role>& roles);

  /// The text of a role's token, empty if there is none.
  std::string text(std::string_view key) const;
  /// What is added to the vocabulary: `added_tokens_decoder` of the config, the named tokens, then
  /// `more`; of two with one text the first.
  std::vector<AddedToken> added(std::vector<AddedToken> more = {}) const;

  /// Gives the tokenizer the ids of the roles, where its vocabulary has them.
  void set_ids(Tokenizer& tokenizer) const;

  /// An added token that is special and looked for in the text as it is.
  static AddedToken special(std::string text);

 private:
  std::vector<std::pair<std::string, AddedToken>> named_;
  std::vector<AddedToken> decoder_;
};

}  // namespace peft::tokenizers
