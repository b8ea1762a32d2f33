#include "peft/generate/continuation.h"

#include <algorithm>

namespace peft {
namespace {

bool has_stop_string(const std::vector<int64_t>& tokens, const GenerateOptions& options) {
  // A token that is a part of the stop string has at least one byte of it; the slack is for special
  // tokens, which decode to nothing.
  constexpr size_t kSlack = 16;
  size_t longest = 0;
  for (const auto& stop : options.stop_strings) longest = std::max(longest, stop.size());
  const auto tail = std::min(tokens.size(), longest + kSlack);
  const auto text = options.decode({tokens.end() - static_cast<int64_t>(tail), tokens.end()});
  return std::any_of(options.stop_strings.begin(), options.stop_strings.end(),
                     [&](const auto& stop) { return text.find(stop) != std::string::npos; });
}

}  // namespace

FinishReason end_of(const std::vector<int64_t>& new_tokens, const GenerateOptions& options) {
  const auto& stops = options.stop_token_ids;
  if (std::find(stops.begin(), stops.end(), new_tokens.back()) != stops.end()) {
    return FinishReason::kStopToken;
  }
  if (!options.stop_strings.empty() && has_stop_string(new_tokens, options)) {
    return FinishReason::kStopString;
  }
  return FinishReason::kLength;
}

}  // namespace peft
