#pragma once

#include <torch/nn/module.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/model_tree.h"
#include "peft/adapter/slots.h"
#include "peft/tensor/attention_addition.h"

namespace peft {

/// How a method adds to attention layers, as data.
struct AttentionMethod {
  /// The module that is an attention layer, by the model's type; empty: the type is not served.
  std::string (*target)(const std::string& model_type);

  /// How many of the last layers get the adapter.
  int64_t (*layers)(const PeftConfig& config);

  /// The parameters of one layer, by the names of the files, with their first values.
  ///   width: C; like: a weight of the layer, whose type and device they have
  std::vector<std::pair<std::string, at::Tensor>> (*parameters)(const PeftConfig& config,
                                                                int64_t width,
                                                                const at::Tensor& like);

  /// What runs in the layer, on the parameters in the order above.
  std::shared_ptr<const AttentionAddition> (*make)(const std::vector<at::Tensor>& parameters,
                                                   const std::string& model_type);
};

/// What adapters add to the attention layers of a model: at most one of them at a time. Their
/// parameters are children of the layer, as `adaption_gate.<adapter>`.
class AttentionAdapters {
 public:
  struct Layer {
    ModuleEntry module;
    std::unique_ptr<AdapterSlots> slots;
    std::map<std::string, std::shared_ptr<const AttentionAddition>> additions = {};
  };

  /// Gives an adapter to layers of a model of width C.  Throws: ConfigError where a layer has a
  /// member of that name; then no layer has the adapter.
  void add(const std::string& adapter, const PeftConfig& config, const AttentionMethod& method,
           const std::vector<ModuleEntry>& modules, const std::string& model_type, int64_t width);
  void remove(const std::string& adapter);
  void clear();

  /// Runs one adapter, or none where the name is empty.
  void activate(const std::string& adapter) const;

  const std::vector<Layer>& layers() const { return layers_; }

 private:
  Layer& layer_of(const ModuleEntry& module);

  std::vector<Layer> layers_;
};

/// The layers that an adapter is for: the last ones whose name ends with the config's target.
/// Throws: UnsupportedError (a type of model, or a layer, that is not served), ConfigError (fewer
/// layers than the config wants).
/// Source: AdaptionPromptModel.add_adapter in peft/tuners/adaption_prompt/model.py.
std::vector<ModuleEntry> find_attention_layers(PeftConfig& config, const AttentionMethod& method,
                                               const std::vector<ModuleEntry>& modules,
                                               const std::string& model_type);

}  // namespace peft
