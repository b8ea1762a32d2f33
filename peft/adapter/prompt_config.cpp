#include "peft/adapter/prompt_config.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

void check_task(const std::string& config, const SharedFields& fields) {
  static constexpr std::array<std::string_view, 6> kTasks{
      "SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION"};
  if (!*fields.task_type) return;
  if (std::find(kTasks.begin(), kTasks.end(), **fields.task_type) != kTasks.end()) return;
  throw_prompt_config(
      config, "task_type",
      "one of " + join_names(std::vector<std::string>(kTasks.begin(), kTasks.end())) + " or null",
      "'" + **fields.task_type + "'");
}

void fill(std::optional<int64_t>& value, int64_t fact, const std::string& field,
          const std::string& source) {
  if (value) return;
  if (fact <= 0) {
    throw ConfigError(field + ": the base model does not tell it: expected a positive " + source +
                      " in its shape(), got " + std::to_string(fact) + ". Please specify `" +
                      field + "` in the config.");
  }
  value = fact;
}

void check_fits(const std::string& field, int64_t value, int64_t fact) {
  if (fact <= 0 || value == fact) return;
  throw MismatchError(field + ": expected " + std::to_string(fact) +
                      " as the base model has, got " + std::to_string(value) +
                      ". The prompt was made for another model.");
}

}  // namespace

void throw_prompt_config(const std::string& config, const std::string& field,
                         const std::string& expected, const std::string& got) {
  throw ConfigError(config + ": " + field + ": expected " + expected + ", got " + got + ".");
}

void check_prompt_fields(const std::string& config, const SharedFields& fields) {
  check_task(config, fields);
  const auto check = [&](const char* field, const std::optional<int64_t>* value, int64_t most) {
    if (value == nullptr || !*value) return;
    if (**value >= 1 && **value <= most) return;
    throw_prompt_config(
        config, field,
        "a number from 1 to " + std::to_string(most) + (most == 2 ? "" : ", or null"),
        std::to_string(**value));
  };
  constexpr int64_t kMost = int64_t{1} << 20;  // so that products of them stay in range
  if (!*fields.num_virtual_tokens) {
    throw_prompt_config(config, "num_virtual_tokens", "the length of the prompt", "null");
  }
  check("num_virtual_tokens", fields.num_virtual_tokens, kMost);
  check("token_dim", fields.token_dim, kMost);
  check("num_transformer_submodules", fields.num_transformer_submodules, 2);
  check("num_attention_heads", fields.num_attention_heads, kMost);
  check("num_layers", fields.num_layers, kMost);
  check("encoder_hidden_size", fields.encoder_hidden_size, kMost);
}

void prepare_prompt_learning_config(const SharedFields& fields, const PromptFacts& facts,
                                    bool is_cache) {
  // Python counts the encoder's layers, which are too few for the cache of a longer decoder.
  const int64_t layers = is_cache ? std::max(facts.layers, facts.cache_layers) : facts.layers;
  fill(*fields.num_layers, layers, "num_layers", "`layers`");
  fill(*fields.token_dim, is_cache ? facts.hidden : facts.embedding, "token_dim", "`hidden`");
  fill(*fields.num_attention_heads, facts.heads, "num_attention_heads", "`heads`");
  if (!*fields.num_transformer_submodules) {
    const bool two = *fields.task_type && **fields.task_type == "SEQ_2_SEQ_LM";
    *fields.num_transformer_submodules = two ? 2 : 1;
  }
  if (is_cache) {
    if (facts.kv_heads > 0 && facts.head_dim > 0) {
      *fields.token_dim = facts.head_dim * facts.kv_heads;
      *fields.num_attention_heads = facts.kv_heads;
    }
    // An encoder-decoder's prefix may be for the layers of either part.
    if (**fields.num_layers != facts.cache_layers) {
      check_fits("num_layers", **fields.num_layers, layers);
    }
  } else {
    check_fits("token_dim", **fields.token_dim, facts.embedding);
  }
  if (fields.encoder_hidden_size && !*fields.encoder_hidden_size) {
    *fields.encoder_hidden_size = *fields.token_dim;
  }
}

}  // namespace peft
