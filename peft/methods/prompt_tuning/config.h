#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/prompt_config.h"
#include "peft/base/json.h"

namespace peft {

/// What adapter_config.json says about one prompt of prompt tuning. The field names are the file's
/// keys, their order is that of the Python dataclass.
///
/// Source: PromptTuningConfig in peft/tuners/prompt_tuning/config.py (0.21.2).
struct PromptTuningConfig {
  std::optional<std::string> task_type = std::nullopt;
  std::string peft_type = "PROMPT_TUNING";
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

  /// RANDOM: N(0, 1). SAMPLE_VOCAB: embeddings of random tokens. TEXT: those of a text, repeated
  /// or cut to the length of the prompt.
  std::string prompt_tuning_init = "RANDOM";
  std::optional<std::string> prompt_tuning_init_text = std::nullopt;
  std::optional<std::string> tokenizer_name_or_path = std::nullopt;
  Json tokenizer_kwargs = nullptr;

  Json extra = Json::object();  // keys of the file that PEFT 0.21.2 does not know

  static void fields(auto& self, auto&& field) {
    describe_prompt_fields(self, field);
    field("prompt_tuning_init", self.prompt_tuning_init, "RANDOM, SAMPLE_VOCAB or TEXT.");
    field("prompt_tuning_init_text", self.prompt_tuning_init_text,
          "The text that TEXT begins with.");
    field("tokenizer_name_or_path", self.tokenizer_name_or_path, "The tokenizer of that text.");
    field("tokenizer_kwargs", self.tokenizer_kwargs, "Arguments of the tokenizer of TEXT.");
  }

  /// Throws: ConfigError.
  void validate() const;

  friend bool operator==(const PromptTuningConfig&, const PromptTuningConfig&) = default;
};

}  // namespace peft
