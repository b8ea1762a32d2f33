#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/prompt_config.h"
#include "peft/base/json.h"

namespace peft {

/// What adapter_config.json says about one cartridge. The field names are the file's keys, their
/// order is that of the Python dataclass.
///
/// Source: CartridgeConfig in peft/tuners/cartridge/config.py (0.21.2).
struct CartridgeConfig {
  std::optional<std::string> task_type = std::nullopt;
  std::string peft_type = "CARTRIDGE";
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

  int64_t num_frozen_tokens = 1;  // of the first, which stay as they are: attention sinks

  Json extra = Json::object();  // keys of the file that PEFT 0.21.2 does not know

  static void fields(auto& self, auto&& field) {
    describe_prompt_fields(self, field);
    field("num_frozen_tokens", self.num_frozen_tokens, "First tokens that do not learn.");
  }

  /// Throws: ConfigError.
  void validate() const;

  friend bool operator==(const CartridgeConfig&, const CartridgeConfig&) = default;
};

}  // namespace peft
