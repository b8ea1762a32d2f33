#include "peft/tokenizers/pattern.h"

#include "peft/base/error.h"
#include "peft/tokenizers/unicode.h"

namespace peft::tokenizers {

Pattern::Pattern(const JsonView& json) {
  if (json.has("String")) {
    literal_ = json.at("String").string();
    return;
  }
  if (!json.has("Regex")) json.fail("expected {\"String\": ...} or {\"Regex\": ...}");
  const JsonView regex = json.at("Regex");
  try {
    regex_ = std::make_shared<const Regex>(regex.string(), Regex::Syntax::kRuby, regex.where());
  } catch (const ConfigError& error) {
    throw FormatError(error.what());
  }
}

std::optional<Range> Pattern::Matches::operator()(size_t from) const {
  if (pattern_.regex_ == nullptr) {
    if (pattern_.literal_.empty()) return std::nullopt;
    const size_t at = text_.find(pattern_.literal_, from);
    if (at == std::string_view::npos) return std::nullopt;
    return Range{at, at + pattern_.literal_.size()};
  }
  while (from <= text_.size()) {
    const auto found = pattern_.regex_->find(text_, from);
    if (!found) return std::nullopt;
    if (found->begin != found->end || last_end_ != found->end) {
      last_end_ = found->end;
      return Range{found->begin, found->end};
    }
    if (found->end >= text_.size()) return std::nullopt;
    from = found->end + decode_utf8(text_, found->end).length;
  }
  return std::nullopt;
}

}  // namespace peft::tokenizers
