#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/prompt_config.h"
#include "peft/base/json.h"

namespace peft {

/// What adapter_config.json says about one prefix of prefix tuning. The field names are the file's
/// keys, their order is that of the Python dataclass.
///
/// Source: PrefixTuningConfig in peft/tuners/prefix_tuning/config.py (0.21.2).
struct PrefixTuningConfig {
  std::optional<std::string> task_type = std::nullopt;
  std::string peft_type = "PREFIX_TUNING";
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

  std::optional<std::string> init_weights = std::nullopt;     // "zero": the prefix begins as zeros
  std::optional<int64_t> encoder_hidden_size = std::nullopt;  // null: token_dim
  bool prefix_projection = false;  // learn embeddings and two layers that make the prefix of them

  Json extra = Json::object();  // keys of the file that PEFT 0.21.2 does not know

  static void fields(auto& self, auto&& field) {
    describe_prompt_fields(self, field);
    field("init_weights", self.init_weights, "Null for random values, or zero.");
    field("encoder_hidden_size", self.encoder_hidden_size, "Width between the two layers.");
    field("prefix_projection", self.prefix_projection,
          "Make the prefix by a network of two layers.");
  }

  /// Throws: ConfigError.
  void validate() const;

  friend bool operator==(const PrefixTuningConfig&, const PrefixTuningConfig&) = default;
};

}  // namespace peft
