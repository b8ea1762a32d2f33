#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace peft::lora {

/// The ways in which a word of init_lora_weights can begin an adapter.
enum class InitKind {
  kGaussian,
  kEva,
  kPissa,
  kOlora,
  kCorda,
  kLoftq,
  kOrthogonal,
  kMica,
  kLoraGa,
  kUnknown,
};

/// The kind that a word means: Python looks at the beginning of "pissa" and "corda", and does not
/// care for capitals in "gaussian", "olora" and "mica".
/// Source: update_layer in peft/tuners/lora/layer.py.
InitKind init_kind_of_word(const std::string& word);

/// The iterations of "pissa_niter_16"; nullopt for "pissa".
/// Throws: ConfigError for a word of neither form.
std::optional<int64_t> pissa_iterations(const std::string& word);

/// The words in a sentence, for messages.
std::string init_words();

}  // namespace peft::lora
