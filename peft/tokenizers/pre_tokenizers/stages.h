#pragma once

#include <memory>

#include "peft/tokenizers/json_view.h"
#include "peft/tokenizers/pre_tokenizers/pre_tokenizer.h"

// The pre-tokenizers, each made from its object in tokenizer.json.
// Source: tokenizers src/pre_tokenizers/
namespace peft::tokenizers {

using PreTokenizerPtr = std::unique_ptr<const PreTokenizer>;

PreTokenizerPtr make_split(const JsonView& json);
PreTokenizerPtr make_byte_level_pre_tokenizer(const JsonView& json);
PreTokenizerPtr make_metaspace_pre_tokenizer(const JsonView& json);
PreTokenizerPtr make_digits(const JsonView& json);
PreTokenizerPtr make_punctuation(const JsonView& json);
PreTokenizerPtr make_whitespace(const JsonView& json);
PreTokenizerPtr make_whitespace_split(const JsonView& json);
PreTokenizerPtr make_char_delimiter_split(const JsonView& json);
PreTokenizerPtr make_bert_pre_tokenizer(const JsonView& json);
PreTokenizerPtr make_fixed_length(const JsonView& json);

/// Throws: FormatError (no such behaviour).
SplitBehavior read_behavior(const JsonView& json);

/// Fills the list with the matches of a pattern and what is between them.
template <typename FindNext>
void stretches_of_matches(std::string_view text, std::vector<Stretch>& stretches,
                          const FindNext& find_next) {
  size_t done = 0;
  while (const auto match = find_next(done)) {
    if (match->begin > done) stretches.push_back({{done, match->begin}, false});
    stretches.push_back({{match->begin, match->end}, true});
    done = match->end;
  }
  if (done < text.size()) stretches.push_back({{done, text.size()}, false});
}

/// Writes the stand-ins of a byte-level segment out into its text, for a stage that comes after.
void write_out_bytes(Segment& segment);

}  // namespace peft::tokenizers
