#pragma once

#include <string>

#include "peft/base/json.h"

namespace peft::tokenizers {

/// What a GGUF file's `tokenizer.ggml.pre` stands for, in the words of tokenizer.json.
struct GgufPreTokenizer {
  Json normalizer = {};
  Json pre_tokenizer = {};
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
};

/// Throws: UnsupportedError (a name that this library does not know; the known ones are listed).
/// Source: llama.cpp src/llama-vocab.cpp; where its regular expressions only approximate those of
/// the tokenizer.json that the file was made from, the latter.
GgufPreTokenizer find_gguf_pre_tokenizer(const std::string& name, const std::string& where);

}  // namespace peft::tokenizers
