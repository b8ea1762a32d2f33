#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "peft/adapter/config.h"
#include "peft/adapter/prompt_config.h"
#include "peft/base/json.h"

namespace peft {

/// What adapter_config.json says about one adaption prompt. The field names are the file's keys,
/// their order is that of the Python dataclass.
///
/// Source: AdaptionPromptConfig in peft/tuners/adaption_prompt/config.py (0.21.2).
struct AdaptionPromptConfig {
  std::optional<std::string> task_type = std::nullopt;
  std::string peft_type = "ADAPTION_PROMPT";
  Json auto_mapping = nullptr;
  std::optional<std::string> peft_version = std::string(kPeftVersion);
  std::optional<std::string> base_model_name_or_path = std::nullopt;
  std::optional<std::string> revision = std::nullopt;
  bool inference_mode = false;

  TargetModules target_modules = {};  // the last part of the attention layers' names; null: by type
  std::optional<int64_t> adapter_len = std::nullopt;     // length of the prompt
  std::optional<int64_t> adapter_layers = std::nullopt;  // how many of the last layers read it

  Json extra = Json::object();  // keys of the file that PEFT 0.21.2 does not know

  static void fields(auto& self, auto&& field) {
    describe_base_fields(self, field);
    field("target_modules", self.target_modules, "Name of the attention layers.");
    field("adapter_len", self.adapter_len, "Length of the prompt.");
    field("adapter_layers", self.adapter_layers, "Number of layers, from the top.");
  }

  /// Throws: ConfigError.
  void validate() const;

  friend bool operator==(const AdaptionPromptConfig&, const AdaptionPromptConfig&) = default;
};

}  // namespace peft
