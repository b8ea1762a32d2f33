#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "peft/adapter/tuner.h"
#include "peft/base/json.h"

namespace peft {

/// The word "irregular" of Python: parts of the model disagree about a value.
struct Irregular {
  friend bool operator==(Irregular, Irregular) { return true; }
};

/// A value on which all parts of the model agree, or not.
template <typename T>
using OrIrregular = std::variant<T, Irregular>;

template <typename T>
bool is_irregular(const OrIrregular<T>& value) {
  return std::holds_alternative<Irregular>(value);
}

/// A value for each adapter, in the order in which the adapters are found.
template <typename T>
using ByAdapter = std::vector<std::pair<std::string, T>>;

/// What one adapted layer does now.
/// Source: TunerLayerStatus in peft/peft_model.py.
struct TunerLayerStatus {
  std::string name = {};         // "model.layers.0.self_attn.q_proj", from the tuner on
  std::string module_type = {};  // "lora.Linear", "ModulesToSaveWrapper"
  bool enabled = true;
  std::vector<std::string> active_adapters = {};
  std::vector<std::string> merged_adapters = {};
  ByAdapter<OrIrregular<bool>> requires_grad = {};
  std::vector<std::string> available_adapters = {};      // sorted
  ByAdapter<std::vector<std::string>> devices = {};      // sorted: "cpu", "cuda"
  std::optional<std::string> quantization_backend = {};  // of the base's layer; none: plain
};

/// What the whole model does now.
/// Source: TunerModelStatus in peft/peft_model.py.
struct TunerModelStatus {
  std::string base_model_type = {};     // class of the base: "LlamaForCausalLM"
  std::string adapter_model_type = {};  // class of the tuner in Python: "LoraModel"
  ByAdapter<std::string> peft_types = {};
  int64_t trainable_params = 0;
  int64_t total_params = 0;
  int64_t num_adapter_layers = 0;
  OrIrregular<bool> enabled = true;
  OrIrregular<std::vector<std::string>> active_adapters = {};
  OrIrregular<std::vector<std::string>> merged_adapters = {};
  ByAdapter<OrIrregular<bool>> requires_grad = {};
  std::vector<std::string> available_adapters = {};
  ByAdapter<std::vector<std::string>> devices = {};
  OrIrregular<std::optional<std::string>> quantization_backend = {};
};

/// Numbers in the parameters of a model and its adapters.
struct ParameterCount {
  int64_t trainable = 0, all = 0;
};
ParameterCount count_parameters(const ModelTree& tree);

/// The status of each adapted layer, in the order of the tree.
/// Throws: ConfigError where the model has no adapter layer, as after unload; UnsupportedError for
/// methods that adapt no layers: prompt learning and adaption prompts.
/// Source: get_layer_status in peft/peft_model.py.
std::vector<TunerLayerStatus> get_layer_status(const Tuner& tuner);

/// Throws as get_layer_status.  Source: get_model_status in peft/peft_model.py.
TunerModelStatus get_model_status(const Tuner& tuner);

/// Whether some layers run and others do not; false where there is none.
bool is_irregularly_enabled(const Tuner& tuner);

/// With the names and values of Python's dataclasses; irregular is the word "irregular".
Json to_json(const TunerLayerStatus& status);
Json to_json(const TunerModelStatus& status);

}  // namespace peft
