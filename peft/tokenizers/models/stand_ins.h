#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "peft/tokenizers/byte_level.h"
#include "peft/tokenizers/models/model.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {

/// Appends the tokens of bytes whose printable stand-ins are characters like any others to the
/// model. `tokenize` appends the tokens of a text; their lengths then count the bytes meant.
template <typename Tokenize>
void tokenize_stand_ins(std::string_view bytes, std::vector<Token>& tokens,
                        const Tokenize& tokenize) {
  const size_t from = tokens.size();
  const std::string written = to_byte_level(bytes);
  tokenize(written);
  size_t at = 0;
  for (size_t i = from; i < tokens.size(); ++i) {
    const size_t end = std::min(at + tokens[i].length, written.size());
    tokens[i].length =
        static_cast<uint32_t>(count_characters(std::string_view(written).substr(at, end - at)));
    if (!tokens[i].shares_bytes) at = end;
  }
}

}  // namespace peft::tokenizers
