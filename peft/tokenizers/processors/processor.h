#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/tokenizers/added_tokens.h"
#include "peft/tokenizers/json_view.h"
#include "peft/tokenizers/tokenizer.h"

namespace peft::tokenizers {

/// Adds the special tokens around one text's tokens or two and mends offsets.
/// Source: tokenizers src/processors/
class Processor {
 public:
  virtual ~Processor() = default;
  /// `texts`: one text or two; what stays of them is joined afterwards.
  virtual void apply(std::vector<Encoding>& texts, bool add_special_tokens) const = 0;
  /// Number of special tokens that apply() adds to so many texts.
  virtual size_t added_tokens(size_t texts) const = 0;
};

/// Puts one encoding behind another.
void append(Encoding& to, const Encoding& more);

/// Gives the text of a token.
class TokenNames {
 public:
  virtual ~TokenNames() = default;
  virtual std::string name(int64_t id) const = 0;
  /// The added token of this id; null if it is none.
  virtual const AddedToken* added(int64_t id) const = 0;
};

/// Reads the `post_processor` of a tokenizer.json. `names` must outlive the processor.
/// Throws: FormatError, UnsupportedError (unknown type).
std::unique_ptr<const Processor> read_processor(const JsonView& json, const TokenNames& names);

/// A processor that puts one token in front of each text and one behind (each optional), as GGUF
/// files ask for.
std::unique_ptr<const Processor> make_bracket_processor(std::optional<int64_t> first,
                                                        std::optional<int64_t> last);

}  // namespace peft::tokenizers
