#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/model_tree.h"

namespace peft {

/// How a site's weight is used, and so which form an adapter takes there.
enum class SiteKind {
  kLinear,            // weight [O, I]
  kTransposedLinear,  // weight [I, O]
  kEmbedding,         // weight [V, D]; in_features V, out_features D
  kConvolution,       // weight [O, I / groups, *kernel]
  kAttentionInput,    // in_proj_weight [3 E, E] of a MultiheadAttention
  kAttentionOutput,   // out_proj.weight [E, E] of a MultiheadAttention
  kExperts,           // a stack of matrices, one an expert: [E, O, I], or [E, I, O]
};

/// A matrix product, whichever way its weight is stored.
constexpr bool is_linear(SiteKind kind) {
  return kind == SiteKind::kLinear || kind == SiteKind::kTransposedLinear;
}

/// Kinds whose weight has a row for each input instead of each output.
constexpr bool has_input_rows(SiteKind kind) {
  return kind == SiteKind::kEmbedding || kind == SiteKind::kTransposedLinear;
}

/// A place in the model that an adapter is put on: facts only, no tensor, so that whoever rides on
/// the weight may keep it without a cycle.
struct Site {
  std::string module_name = {};     // "model.layers.0.self_attn.q_proj"
  std::string parameter_name = {};  // "weight", "in_proj_weight"
  std::string module_class = {};    // "Linear", for messages
  SiteKind kind = SiteKind::kLinear;
  std::vector<int64_t> weight_shape = {};
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  int64_t in_features = 0, out_features = 0;
  int64_t groups = 1;  // of a convolution
  bool has_bias = false;
  /// Named by target_parameters: the parameter alone is known, not the calls that read it. A matrix
  /// is then [O, I].
  bool by_parameter = false;
  bool experts_transposed = false;  // the matrices of kExperts are [I, O]
  /// Where below the module the adapters' parameters hang; empty: in the module itself.
  std::string slot_path = {};

  std::string full_name() const { return join_name(module_name, parameter_name); }
};

/// A site together with what it stands for in the model.
struct FoundSite {
  Site site;
  ModuleEntry module;  // that registers the parameter
  at::Tensor weight;
  at::Tensor bias;  // undefined: none
};

/// The sites of a targeted module: one, or two for a MultiheadAttention (the second in out_proj).
/// A class called Conv1D, as that of GPT-2, stores its weight as [I, O]. A class of the user's own
/// that registers a matrix `weight` and does not implement DeclaresWeightUse is taken for a linear
/// layer; `fan_in_fan_out` tells how it stores the weight.
///
/// Throws: UnsupportedError where the module is of a kind that takes no adapter, ConfigError for an
/// attention with other widths of key and value and for a frozen scripted module.
/// Source: dispatch_default in peft/tuners/lora/layer.py.
std::vector<FoundSite> sites_of(const ModuleEntry& module, bool fan_in_fan_out = false);

/// The parameters that end in one of `names`, part of name by part of name, in the order of the
/// tree: matrices and stacks of matrices. Those of one module lie in each other as Python's
/// wrappers do: the last one hangs in the module itself, the others in `base_layer` below it.
///
/// Throws: ConfigError for a parameter of another number of dimensions, and for one of the root.
/// Source: BaseTuner._inject_parameters and lora.ParamWrapper in peft 0.21.2.
std::vector<FoundSite> parameter_sites(const std::vector<ModuleEntry>& modules,
                                       const std::vector<std::string>& names);

/// True for modules that "all-linear" means: nn.Linear and transposed linear layers.
bool is_linear(const ModuleEntry& module);

/// True for modules that look rows up.
bool is_embedding(const ModuleEntry& module);

/// True for Conv1d, Conv2d and Conv3d.
bool is_convolution(const ModuleEntry& module);

}  // namespace peft
