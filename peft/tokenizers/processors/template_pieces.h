#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "peft/tokenizers/processors/stages.h"

namespace peft::tokenizers {

/// A special token in a template.
struct SpecialToken {
  int64_t id = 0;
  int64_t type_id = 0;
};

/// The place of the first text (0) or the second (1) in a template.
struct TextPlace {
  size_t text = 0;
  int64_t type_id = 0;
};

using TemplatePiece = std::variant<SpecialToken, TextPlace>;

/// Puts one text into the template `single`, two into `pair`. Neither may have a text twice.
ProcessorPtr make_template_processor(std::vector<TemplatePiece> single,
                                     std::vector<TemplatePiece> pair);

}  // namespace peft::tokenizers
