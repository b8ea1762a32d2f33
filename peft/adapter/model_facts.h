#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/prompt_facts.h"
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
  /// Stacks ranges [begin, end) of the layers again, and returns what takes that back: see
  /// PretrainedModelImpl::replicate_layers. Empty: the model has no such thing.
  std::function<std::function<void()>(const std::vector<std::pair<int64_t, int64_t>>&)>
      replicate_layers = {};
  Json quantization_config = nullptr;  // of its config
  /// Absent: the model is no language model, and prompts cannot be put before its tokens.
  std::optional<PromptFacts> prompts = std::nullopt;
};

}  // namespace peft
