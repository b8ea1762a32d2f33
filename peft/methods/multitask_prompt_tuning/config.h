#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/prompt_config.h"
#include "peft/base/json.h"

namespace peft {

/// What adapter_config.json says about one prompt of several tasks. The field names are the file's
/// keys, their order is that of the Python dataclass.
///
/// Source: MultitaskPromptTuningConfig in peft/tuners/multitask_prompt_tuning/config.py (0.21.2).
struct MultitaskPromptTuningConfig {
  std::optional<std::string> task_type = std::nullopt;
  std::string peft_type = "MULTITASK_PROMPT_TUNING";
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

  /// RANDOM: N(0, 1). TEXT: embeddings of a text. From a file of source tasks:
  /// AVERAGE_SOURCE_TASKS, EXACT_SOURCE_TASK (prompt_tuning_init_task), ONLY_SOURCE_SHARED (what
  /// tasks have in common).
  std::string prompt_tuning_init = "RANDOM";
  std::optional<std::string> prompt_tuning_init_text = std::nullopt;
  std::optional<std::string> tokenizer_name_or_path = std::nullopt;
  Json tokenizer_kwargs = nullptr;
  std::optional<std::string> prompt_tuning_init_state_dict_path = std::nullopt;
  int64_t prompt_tuning_init_task = 0;
  int64_t num_ranks = 1;  // of the matrix that a task multiplies the prompt with
  int64_t num_tasks = 1;

  Json extra = Json::object();  // keys of the file that PEFT 0.21.2 does not know

  static void fields(auto& self, auto&& field) {
    describe_prompt_fields(self, field);
    field("prompt_tuning_init", self.prompt_tuning_init,
          "RANDOM, TEXT, AVERAGE_SOURCE_TASKS, EXACT_SOURCE_TASK or ONLY_SOURCE_SHARED.");
    field("prompt_tuning_init_text", self.prompt_tuning_init_text,
          "The text that TEXT begins with.");
    field("tokenizer_name_or_path", self.tokenizer_name_or_path, "The tokenizer of that text.");
    field("tokenizer_kwargs", self.tokenizer_kwargs, "Arguments of the tokenizer of TEXT.");
    field("prompt_tuning_init_state_dict_path", self.prompt_tuning_init_state_dict_path,
          "The file with the prompts of source tasks.");
    field("prompt_tuning_init_task", self.prompt_tuning_init_task, "The task to begin with.");
    field("num_ranks", self.num_ranks, "Rank of a task's matrix.");
    field("num_tasks", self.num_tasks, "Number of tasks.");
  }

  /// Throws: ConfigError.
  void validate() const;

  friend bool operator==(const MultitaskPromptTuningConfig&,
                         const MultitaskPromptTuningConfig&) = default;
};

}  // namespace peft
