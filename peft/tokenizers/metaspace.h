#pragma once

#include <string>

#include "peft/tokenizers/json_view.h"

namespace peft::tokenizers {

/// Which pieces get a mark in front that the text does not have.
enum class PrependScheme { kAlways, kFirst, kNever };

/// SentencePiece's way to write blanks, as pre-tokenizer and as decoder.
/// Source: tokenizers src/pre_tokenizers/metaspace.rs
struct MetaspaceOptions {
  std::string replacement = "\u2581";  // one character
  PrependScheme prepend_scheme = PrependScheme::kAlways;
  bool split = true;
};

/// Throws: FormatError.
MetaspaceOptions read_metaspace(const JsonView& json);

}  // namespace peft::tokenizers
