#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "peft/tokenizers/json_view.h"
#include "peft/tokenizers/segment.h"

namespace peft::tokenizers {

/// Cuts the pieces of a segment into smaller ones; may also rewrite the text below them.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Segment& segment) const = 0;
};

/// Reads the `pre_tokenizer` of a tokenizer.json.
/// Throws: FormatError, UnsupportedError (unknown type).
std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const JsonView& json);

/// What becomes of the text that a pattern matches.
/// Source: tokenizers src/tokenizer/normalizer.rs SplitDelimiterBehavior
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// A stretch of a piece: a match of a pattern, or what lies between two matches.
struct Stretch {
  Range range;
  bool match = false;
};

/// Cuts every piece that is no added token. `find` fills the list with the stretches of a piece's
/// text, which cover it without gaps (ranges relative to the piece).
void split_pieces(Segment& segment, SplitBehavior behavior,
                  const std::function<void(std::string_view, std::vector<Stretch>&)>& find);

}  // namespace peft::tokenizers
