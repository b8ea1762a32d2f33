#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "peft/base/json.h"

namespace peft {

/// What an adapter has to know of the base model besides its modules. Whoever knows the family
/// fills it in; the defaults fit any module of the user's own.
struct ModelFacts {
  std::string model_type = "custom";  // config.json's model_type
  bool is_pretrained = false;         // a model of the Hugging Face kind, with embeddings
  std::string input_embedding = {};   // module name; empty: none known
  std::string output_head = {};       // module name; empty: none known
  bool tied_head = false;             // the head's weight is the embedding's
  std::optional<std::string> name_or_path = std::nullopt;  // where it was loaded from
  std::optional<int64_t> vocab_size = std::nullopt;        // of its config
  Json quantization_config = nullptr;                      // of its config
};

}  // namespace peft
