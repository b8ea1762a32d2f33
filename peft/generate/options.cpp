#include "peft/generate/options.h"

#include <fmt/format.h>

#include <string_view>

#include "peft/base/error.h"

namespace peft {
namespace {

void require(bool holds, std::string_view name, std::string_view expected, double got) {
  if (holds) return;
  throw ConfigError(fmt::format("generate: {}: expected {}, got {}.", name, expected, got));
}

}  // namespace

void GenerateOptions::validate() const {
  require(max_new_tokens >= 0, "max_new_tokens", "0 or more", static_cast<double>(max_new_tokens));
  require(min_new_tokens >= 0, "min_new_tokens", "0 or more", static_cast<double>(min_new_tokens));
  require(top_k >= 0, "top_k", "0 (off) or more", static_cast<double>(top_k));
  require(temperature > 0, "temperature", "a number above 0 (for greedy decoding do not sample)",
          temperature);
  require(top_p > 0 && top_p <= 1, "top_p", "a number above 0 and up to 1", top_p);
  require(min_p >= 0 && min_p <= 1, "min_p", "a number from 0 to 1", min_p);
  require(repetition_penalty > 0, "repetition_penalty", "a number above 0", repetition_penalty);
  if (cache_implementation != "dynamic" && cache_implementation != "static") {
    throw ConfigError("generate: cache_implementation: expected 'dynamic' or 'static', got '" +
                      cache_implementation + "'.");
  }
  if (!stop_strings.empty() && !decode) {
    throw ConfigError(
        "generate: stop_strings: expected a decode function to go with them, got none. "
        "Set GenerateOptions::decode.");
  }
}

}  // namespace peft
