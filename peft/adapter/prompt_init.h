#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/prompt_facts.h"
#include "peft/base/json.h"

namespace peft {

/// How a prompt of embeddings begins: the fields of that name in the configs.
struct PromptInit {
  std::string word;  // prompt_tuning_init
  std::optional<std::string> text = {}, tokenizer = {};
  Json tokenizer_kwargs = nullptr;
};

/// Throws: ConfigError where TEXT lacks its text or tokenizer, where another word than TEXT has
/// arguments for a tokenizer, or where the word is not one of `known`.
/// Source: PromptTuningConfig.__post_init__ in peft/tuners/prompt_tuning/config.py.
void check_prompt_init(const std::string& config, const PromptInit& init,
                       const std::vector<std::string>& known);

/// The first values: embeddings of random tokens (SAMPLE_VOCAB) or of a text (TEXT), N(0, 1) for
/// every other word. Draws what Python draws, in its order.  -> [rows, width] float32
/// Throws: ConfigError (a text without tokens); what `facts.tokenize` throws.
/// Source: PromptEmbedding.__init__ in peft/tuners/prompt_tuning/model.py.
at::Tensor initial_prompt(const PromptInit& init, int64_t rows, int64_t width,
                          const PromptFacts& facts);

}  // namespace peft
