#include "peft/generate/options.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "peft/base/error.h"

namespace peft {
namespace {

void require(bool holds, std::string_view name, std::string_view expected, double got) {
  if (holds) return;
  throw ConfigError(fmt::format("generate: {}: expected {}, got {}.", name, expected, got));
}

void check_beams(const GenerateOptions& o) {
  require(o.num_beams >= 1, "num_beams", "1 (off) or more", static_cast<double>(o.num_beams));
  require(o.num_return_sequences >= 1, "num_return_sequences", "1 or more",
          static_cast<double>(o.num_return_sequences));
  const auto sequences = static_cast<double>(o.num_return_sequences);
  if (o.num_beams > 1) {
    require(o.num_return_sequences <= o.num_beams, "num_return_sequences",
            fmt::format("at most num_beams ({})", o.num_beams), sequences);
    if (!o.on_token) return;
    throw ConfigError(
        "generate: on_token: expected no callback with beams, whose tokens may still be given up, "
        "got one. Set num_beams to 1.");
  }
  require(o.do_sample || o.num_return_sequences == 1, "num_return_sequences",
          "1 for a greedy search, which finds one (sample, or set num_beams)", sequences);
}

}  // namespace

void GenerateOptions::validate() const {
  require(max_new_tokens >= 0, "max_new_tokens", "0 or more", static_cast<double>(max_new_tokens));
  require(min_new_tokens >= 0, "min_new_tokens", "0 or more", static_cast<double>(min_new_tokens));
  require(min_length >= 0, "min_length", "0 or more", static_cast<double>(min_length));
  require(no_repeat_ngram_size >= 0, "no_repeat_ngram_size", "0 (off) or more",
          static_cast<double>(no_repeat_ngram_size));
  require(top_k >= 0, "top_k", "0 (off) or more", static_cast<double>(top_k));
  require(temperature > 0, "temperature", "a number above 0 (for greedy decoding do not sample)",
          temperature);
  require(top_p > 0 && top_p <= 1, "top_p", "a number above 0 and up to 1", top_p);
  require(min_p >= 0 && min_p <= 1, "min_p", "a number from 0 to 1", min_p);
  require(repetition_penalty > 0, "repetition_penalty", "a number above 0", repetition_penalty);
  require(std::isfinite(length_penalty), "length_penalty", "a finite number", length_penalty);
  for (const auto& word : bad_words_ids) {
    require(!word.empty(), "bad_words_ids", "words of at least one token, got one of", 0);
  }
  check_beams(*this);
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
