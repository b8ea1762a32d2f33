#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/prompt_config.h"
#include "peft/base/json.h"

namespace peft {

/// What adapter_config.json says about one prompt of P-tuning. The field names are the file's keys,
/// their order is that of the Python dataclass.
///
/// Source: PromptEncoderConfig in peft/tuners/p_tuning/config.py (0.21.2).
struct PromptEncoderConfig {
  std::optional<std::string> task_type = std::nullopt;
  std::string peft_type = "P_TUNING";
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

  std::string encoder_reparameterization_type = "MLP";        // or "LSTM"
  std::optional<int64_t> encoder_hidden_size = std::nullopt;  // null: token_dim
  int64_t encoder_num_layers = 2;                             // of the LSTM
  double encoder_dropout = 0.0;                               // between them, in [0, 1]

  Json extra = Json::object();  // keys of the file that PEFT 0.21.2 does not know

  static void fields(auto& self, auto&& field) {
    describe_prompt_fields(self, field);
    field("encoder_reparameterization_type", self.encoder_reparameterization_type, "MLP or LSTM.");
    field("encoder_hidden_size", self.encoder_hidden_size, "Width of the encoder.");
    field("encoder_num_layers", self.encoder_num_layers, "Layers of the LSTM.");
    field("encoder_dropout", self.encoder_dropout, "Dropout between the layers of the LSTM.");
  }

  /// Throws: ConfigError.
  void validate() const;

  friend bool operator==(const PromptEncoderConfig&, const PromptEncoderConfig&) = default;
};

}  // namespace peft
