#pragma once

#include <string>

#include "peft/adapter/config.h"
#include "peft/adapter/prompt_facts.h"

namespace peft {

/// The fields that every config has, in Python's order.
void describe_base_fields(auto& self, auto&& field) {
  field("task_type", self.task_type, "Kind of task, such as CAUSAL_LM.");
  field("peft_type", self.peft_type, "Name of the method.");
  field("auto_mapping", self.auto_mapping, "Class of the base model where task_type is null.");
  field("peft_version", self.peft_version, "Version of PEFT that wrote the file.");
  field("base_model_name_or_path", self.base_model_name_or_path, "Base model.");
  field("revision", self.revision, "Revision of the base model.");
  field("inference_mode", self.inference_mode, "The prompt is read from a file, not learned.");
}

/// The fields that every config of prompt learning has, in Python's order.
/// Source: PromptLearningConfig in peft/config.py.
void describe_prompt_fields(auto& self, auto&& field) {
  describe_base_fields(self, field);
  field("num_virtual_tokens", self.num_virtual_tokens, "Length of the prompt.");
  field("token_dim", self.token_dim, "Width of the model, or of a token's keys in a layer.");
  field("num_transformer_submodules", self.num_transformer_submodules,
        "1, or 2 for an encoder with a decoder.");
  field("num_attention_heads", self.num_attention_heads, "Attention heads of a layer.");
  field("num_layers", self.num_layers, "Layers of the model.");
  field("modules_to_save", self.modules_to_save, "Modules to train and save in full.");
}

/// Throws ConfigError "<config>: <field>: expected <what>, got <value>."
[[noreturn]] void throw_prompt_config(const std::string& config, const std::string& field,
                                      const std::string& expected, const std::string& got);

/// Checks what all configs of prompt learning have in common: the task, the length of the prompt,
/// shapes that are positive where they are given.
/// Throws: ConfigError.
void check_prompt_fields(const std::string& config, const SharedFields& fields);

/// Writes the model's shape into a config where it gives none. A prompt in the cache has the width
/// and the number of the key/value heads, whatever the config says.
/// Throws: ConfigError naming what the model does not tell, MismatchError where a shape of the
/// config is not the model's.
/// Source: _prepare_prompt_learning_config in peft/utils/other.py.
void prepare_prompt_learning_config(const SharedFields& fields, const PromptFacts& facts,
                                    bool is_cache);

}  // namespace peft
