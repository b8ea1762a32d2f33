#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/prompt_config.h"
#include "peft/base/json.h"

namespace peft {

/// What adapter_config.json says about one context of context-aware prompt tuning. The field names
/// are the file's keys, their order is that of the Python dataclass.
///
/// Source: CPTConfig in peft/tuners/cpt/config.py (0.21.2).
struct CPTConfig {
  std::optional<std::string> task_type = std::nullopt;
  std::string peft_type = "CPT";
  Json auto_mapping = nullptr;
  std::optional<std::string> peft_version = std::string(kPeftVersion);
  std::optional<std::string> base_model_name_or_path = std::nullopt;
  std::optional<std::string> revision = std::nullopt;
  bool inference_mode = false;

  std::optional<int64_t> num_virtual_tokens = std::nullopt;
  // Null: the model's.
  std::optional<int64_t> token_dim = std::nullopt;
  std::optional<int64_t> num_transformer_submodules = std::nullopt;
  std::optional<int64_t> num_attention_heads = std::nullopt;
  std::optional<int64_t> num_layers = std::nullopt;
  std::optional<std::vector<std::string>> modules_to_save = std::nullopt;

  // One for each token of the context; null: the token 0, and ones.
  std::optional<std::vector<int64_t>> cpt_token_ids = std::nullopt;
  std::optional<std::vector<int64_t>> cpt_mask = std::nullopt;
  /// What a token is, modulo 4: 1 and 3 the words around input and output, 2 input, 0 output (a
  /// label); 0 itself: nothing of these.
  std::optional<std::vector<int64_t>> cpt_tokens_type_mask = std::nullopt;
  std::string opt_weighted_loss_type = "none";  // "decay": earlier examples count less
  double opt_loss_decay_factor = 1.0;
  double opt_projection_epsilon = 0.1;         // how far inputs may move, for a width of 2048
  double opt_projection_format_epsilon = 0.1;  // and the words around them
  std::optional<std::string> tokenizer_name_or_path = std::nullopt;

  Json extra = Json::object();  // keys of the file that PEFT 0.21.2 does not know

  static void fields(auto& self, auto&& field) {
    describe_prompt_fields(self, field);
    field("cpt_token_ids", self.cpt_token_ids, "The tokens of the context.");
    field("cpt_mask", self.cpt_mask, "The context's attention mask.");
    field("cpt_tokens_type_mask", self.cpt_tokens_type_mask, "What each token of the context is.");
    field("opt_weighted_loss_type", self.opt_weighted_loss_type, "none or decay.");
    field("opt_loss_decay_factor", self.opt_loss_decay_factor, "Weight from example to example.");
    field("opt_projection_epsilon", self.opt_projection_epsilon, "How far inputs may move.");
    field("opt_projection_format_epsilon", self.opt_projection_format_epsilon,
          "How far the words around them may move.");
    field("tokenizer_name_or_path", self.tokenizer_name_or_path, "The tokenizer of the context.");
  }

  /// Throws: ConfigError.
  void validate() const;

  /// Sets what follows from the tokens: the length of the prompt, and masks where there are none.
  /// Source: CPTConfig.__post_init__.
  void complete();

  friend bool operator==(const CPTConfig&, const CPTConfig&) = default;
};

}  // namespace peft
