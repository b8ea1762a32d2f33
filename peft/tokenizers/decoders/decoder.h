#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/tokenizers/json_view.h"

namespace peft::tokenizers {

/// Turns tokens back into pieces of text, which are joined at the end.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// Reads the `decoder` of a tokenizer.json.
/// Throws: FormatError, UnsupportedError (unknown type).
std::unique_ptr<const Decoder> read_decoder(const JsonView& json);

}  // namespace peft::tokenizers
