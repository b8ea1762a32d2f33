#pragma once

#include <memory>

#include "peft/tokenizers/aligned_text.h"
#include "peft/tokenizers/json_view.h"

namespace peft::tokenizers {

/// Rewrites a text before it is cut.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(AlignedText& text) const = 0;
};

/// Reads the `normalizer` of a tokenizer.json.
/// Throws: FormatError, UnsupportedError (unknown type).
std::unique_ptr<const Normalizer> read_normalizer(const JsonView& json);

}  // namespace peft::tokenizers
