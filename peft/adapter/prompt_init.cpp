#include "peft/adapter/prompt_init.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/adapter/prompt_config.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft {
namespace {

constexpr const char* kText = "TEXT";

bool has_arguments(const Json& kwargs) { return kwargs.is_object() && !kwargs.empty(); }

// The tokens over and over, up to the length of the prompt.
at::Tensor ids_of_text(const PromptInit& init, int64_t rows, const PromptFacts& facts) {
  const std::vector<int64_t> tokens =
      facts.tokenize(*init.tokenizer, init.tokenizer_kwargs, *init.text);
  if (tokens.empty()) {
    throw ConfigError("prompt_tuning_init_text: expected a text with tokens, got " +
                      quote(*init.text) + ", which has none.");
  }
  std::vector<int64_t> ids(static_cast<size_t>(rows));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = tokens[i % tokens.size()];
  const auto wrong =
      std::find_if(ids.begin(), ids.end(), [&](int64_t id) { return id < 0 || id >= facts.vocab; });
  if (wrong != ids.end()) {
    throw ConfigError("prompt_tuning_init_text: expected tokens from 0 to " +
                      std::to_string(facts.vocab - 1) + ", got " + std::to_string(*wrong) +
                      ". Name the tokenizer of the base model.");
  }
  return at::tensor(ids, at::kLong);
}

}  // namespace

void check_prompt_init(const std::string& config, const PromptInit& init,
                       const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), init.word) == known.end()) {
    throw_prompt_config(config, "prompt_tuning_init", "one of " + join_names(known),
                        quote(init.word));
  }
  if (init.word == kText && init.tokenizer.value_or("").empty()) {
    throw_prompt_config(config, "tokenizer_name_or_path",
                        "a tokenizer where prompt_tuning_init is TEXT",
                        init.tokenizer ? "''" : "null");
  }
  if (init.word == kText && !init.text) {
    throw_prompt_config(config, "prompt_tuning_init_text",
                        "a text where prompt_tuning_init is TEXT", "null");
  }
  if (!init.tokenizer_kwargs.is_null() && !init.tokenizer_kwargs.is_object()) {
    throw_prompt_config(config, "tokenizer_kwargs", "an object or null",
                        dump_json(init.tokenizer_kwargs, {.indent = std::nullopt}));
  }
  if (init.word != kText && has_arguments(init.tokenizer_kwargs)) {
    throw_prompt_config(config, "tokenizer_kwargs", "null unless prompt_tuning_init is TEXT",
                        dump_json(init.tokenizer_kwargs, {.indent = std::nullopt}));
  }
}

at::Tensor initial_prompt(const PromptInit& init, int64_t rows, int64_t width,
                          const PromptFacts& facts) {
  const at::NoGradGuard no_grad;
  const at::Tensor values = at::empty({rows, width}).normal_();
  if (init.word != "SAMPLE_VOCAB" && init.word != kText) return values;
  const at::Tensor ids = init.word == kText ? ids_of_text(init, rows, facts)
                                            : at::randint(facts.vocab, {rows}, at::kLong);
  return facts.embed(ids).detach().to(at::kFloat, false, true);
}

}  // namespace peft
