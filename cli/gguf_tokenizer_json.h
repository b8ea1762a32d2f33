#pragma once

#include <optional>
#include <string>

#include "peft/base/json.h"

namespace peft::cli {

/// The companions of a tokenizer that a GGUF file holds in its metadata, as Hugging Face writes
/// them.
struct TokenizerFiles {
  std::string tokenizer = {};  // text of tokenizer.json
  Json config = {};            // tokenizer_config.json
};

/// Byte-level vocabularies (`tokenizer.ggml.model` gpt2) alone; nullopt for the other kinds, whose
/// merges a GGUF file does not tell.
/// Throws: UnsupportedError (an unknown pre-tokenizer).
std::optional<TokenizerFiles> tokenizer_files_of_gguf(const Json& metadata,
                                                      const std::string& where);

}  // namespace peft::cli
