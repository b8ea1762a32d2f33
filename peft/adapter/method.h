#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "peft/adapter/attention_adapters.h"
#include "peft/adapter/config.h"
#include "peft/adapter/prompt_encoder.h"
#include "peft/adapter/site.h"
#include "peft/adapter/tuner_layer.h"
#include "peft/base/json.h"
#include "peft/tensor/state_dict.h"

namespace peft {

/// One way of adapting a model, as data. A new method is a folder with one of these and a line in
/// methods.def.
struct Method {
  std::string_view name;        // peft_type: "LORA"
  std::string_view key_prefix;  // of its parameters: "lora_"

  /// Reads adapter_config.json.  Throws: ConfigError.
  PeftConfig (*parse)(const Json& object, std::string_view where);

  /// What runs at a site; adapters are added to it afterwards. Null for prompt learning.
  std::shared_ptr<TunerLayer> (*make_layer)(const Site& site) = nullptr;

  /// target_modules for a model type, where the config gives none.
  std::optional<TargetModules> (*default_targets)(std::string_view model_type) = nullptr;

  /// What learns a prompt, on the CPU, for a config whose shapes are filled in. Null for methods
  /// that adapt weights.
  std::shared_ptr<BasePromptEncoder> (*make_prompt_encoder)(const PeftConfig& config,
                                                            const PromptFacts& facts) = nullptr;

  /// The prompt is keys and values in the cache of every layer, not embeddings before the tokens'.
  bool prompt_is_cache = false;

  /// A trained adapter and the values that it began with, as an adapter for the base as it was
  /// before (path_initial_model_for_weight_conversion); null: the method has no such thing.
  std::pair<PeftConfig, StateDict> (*subtract_initial)(const PeftConfig& config,
                                                       const StateDict& trained,
                                                       const StateDict& initial) = nullptr;

  /// Checks that an adapter may stand beside one that is there; null: any may.
  /// Throws: ConfigError.
  void (*check_beside)(const PeftConfig& config, const std::string& other_name,
                       const PeftConfig& other) = nullptr;

  /// Warns of what is unwise; null: nothing is. A new adapter, with values or without, whose state
  /// is still to be made:
  void (*warn_of_new)(const PeftConfig& config, bool low_cpu_mem_usage) = nullptr;
  /// One that is loaded beside others:
  void (*warn_of_loaded)(const PeftConfig& config,
                         const std::vector<std::pair<std::string, PeftConfig>>& others) = nullptr;
  /// What a file is about to hold:
  void (*warn_of_state)(const std::string& adapter, const StateDict& state) = nullptr;

  /// What is added to attention layers; null for methods that do something else.
  const AttentionMethod* attention = nullptr;

  /// Whether adapters can be folded into the base weights.
  bool can_merge = true;

  /// Whether adapters may share a model with those of other methods: see PeftMixedModel.
  bool can_mix = false;

  /// Whether it puts something before the tokens and leaves the weights alone.
  bool is_prompt_learning() const { return make_prompt_encoder != nullptr; }
};

}  // namespace peft
