#include "peft/methods/lora/init/words.h"

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::lora {
InitKind init_kind_of_word(const std::string& word) {
  const std::string small = lower_case(word);
  if (word.starts_with("pissa")) return InitKind::kPissa;
  if (word.starts_with("corda")) return InitKind::kCorda;
  if (small == "olora") return InitKind::kOlora;
  if (small == "mica") return InitKind::kMica;
  if (small == "gaussian") return InitKind::kGaussian;
  if (word == "loftq") return InitKind::kLoftq;
  if (word == "eva") return InitKind::kEva;
  if (word == "orthogonal") return InitKind::kOrthogonal;
  if (word == "lora_ga") return InitKind::kLoraGa;
  return InitKind::kUnknown;
}

std::optional<int64_t> pissa_iterations(const std::string& word) {
  if (word == "pissa") return std::nullopt;
  constexpr std::string_view kMark = "_niter_";
  const size_t at = word.find(kMark);
  int64_t iterations = -1;
  if (at != std::string::npos) {
    const std::string_view digits = std::string_view(word).substr(at + kMark.size());
    iterations = whole_number<int64_t>(digits).value_or(-1);
  }
  if (iterations >= 0) return iterations;
  throw ConfigError(
      "LoraConfig: init_lora_weights: expected 'pissa' or 'pissa_niter_[number of iterations]', "
      "got '" +
      word + "'. Correct the word.");
}

std::string init_words() {
  return "true, false, 'gaussian', 'eva', 'olora', 'pissa', 'pissa_niter_[number of iterations]', "
         "'corda', 'loftq', 'orthogonal', 'mica' or 'lora_ga'";
}

}  // namespace peft::lora
