#include "peft/adapter/site.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/script.h>

#include "peft/adapter/matching.h"
#include "peft/base/error.h"
#include "peft/tensor/module_kind.h"

namespace peft {
namespace {

namespace nn = torch::nn;

std::optional<SiteKind> kind_of_use(WeightUse use) {
  switch (use) {
    case WeightUse::kLinear:
      return SiteKind::kLinear;
    case WeightUse::kTransposedLinear:
      return SiteKind::kTransposedLinear;
    case WeightUse::kEmbedding:
      return SiteKind::kEmbedding;
  }
  return std::nullopt;
}

at::Tensor parameter(const ModuleEntry& module, const std::string& wanted) {
  for (const auto& [name, tensor] : own_parameters(module)) {
    if (name == wanted) return tensor;
  }
  return {};
}

std::optional<SiteKind> native_kind(const nn::Module& module) {
  if (const auto* declared = dynamic_cast<const DeclaresWeightUse*>(&module)) {
    return kind_of_use(declared->weight_use());
  }
  if (dynamic_cast<const nn::EmbeddingImpl*>(&module)) return SiteKind::kEmbedding;
  if (dynamic_cast<const nn::Conv1dImpl*>(&module) ||
      dynamic_cast<const nn::Conv2dImpl*>(&module) ||
      dynamic_cast<const nn::Conv3dImpl*>(&module)) {
    return SiteKind::kConvolution;
  }
  if (dynamic_cast<const nn::MultiheadAttentionImpl*>(&module)) return SiteKind::kAttentionInput;
  if (dynamic_cast<const nn::LinearImpl*>(&module)) return SiteKind::kLinear;
  return std::nullopt;
}

// GPT-2's layer, whichever library wrote it: transformers' class, and what people port it to.
constexpr const char* kTransposedClass = "Conv1D";

// "__torch__.torch.nn.modules.linear.___torch_mangle_3.Linear" is torch.nn's Linear.
std::optional<SiteKind> script_kind(const torch::jit::Module& module) {
  const auto qualified = module.type()->name();
  if (!qualified) return std::nullopt;
  const std::string name = qualified->qualifiedName();
  const std::string kind = last_part(name);
  if (name.find("torch.nn.modules.") == std::string::npos) return std::nullopt;
  if (kind == "Linear" || kind == "NonDynamicallyQuantizableLinear") return SiteKind::kLinear;
  if (kind == "Embedding") return SiteKind::kEmbedding;
  if (kind == "Conv1d" || kind == "Conv2d" || kind == "Conv3d") return SiteKind::kConvolution;
  if (kind == "MultiheadAttention") return SiteKind::kAttentionInput;
  return std::nullopt;
}

std::optional<SiteKind> declared_kind(const ModuleEntry& module) {
  const auto kind = module.native ? native_kind(*module.native) : script_kind(*module.script);
  if (!kind && class_name(module) == kTransposedClass) return SiteKind::kTransposedLinear;
  return kind;
}

// A class of the user's own that registers a matrix called `weight` is read as a linear layer.
std::optional<SiteKind> kind_of(const ModuleEntry& module, bool fan_in_fan_out) {
  const auto kind = declared_kind(module);
  if (kind) return kind;
  const at::Tensor weight = parameter(module, "weight");
  if (module.native && weight.defined() && weight.dim() == 2 && module.native->children().empty()) {
    return fan_in_fan_out ? SiteKind::kTransposedLinear : SiteKind::kLinear;
  }
  return std::nullopt;
}

int64_t script_groups(const torch::jit::Module& module) {
  const auto type = module.type();
  if (const auto index = type->findConstantSlot("groups")) {
    return type->getConstant(*index).toInt();
  }
  return module.hasattr("groups") ? module.attr("groups").toInt() : 1;
}

int64_t groups_of(const ModuleEntry& module) {
  if (module.script) return script_groups(*module.script);
  if (const auto* conv = dynamic_cast<const nn::Conv1dImpl*>(module.native.get())) {
    return conv->options.groups();
  }
  if (const auto* conv = dynamic_cast<const nn::Conv2dImpl*>(module.native.get())) {
    return conv->options.groups();
  }
  if (const auto* conv = dynamic_cast<const nn::Conv3dImpl*>(module.native.get())) {
    return conv->options.groups();
  }
  return 1;
}

void set_features(Site& site) {
  const auto& shape = site.weight_shape;
  switch (site.kind) {
    case SiteKind::kLinear:
    case SiteKind::kAttentionInput:
    case SiteKind::kAttentionOutput:
      site.out_features = shape[0];
      site.in_features = shape[1];
      break;
    case SiteKind::kTransposedLinear:
    case SiteKind::kEmbedding:
      site.in_features = shape[0];
      site.out_features = shape[1];
      break;
    case SiteKind::kConvolution:
      site.out_features = shape[0];
      site.in_features = shape[1] * site.groups;
      break;
    case SiteKind::kExperts:
      site.out_features = shape[site.experts_transposed ? 2 : 1];
      site.in_features = shape[site.experts_transposed ? 1 : 2];
      break;
  }
}

[[noreturn]] void throw_unsupported_module(const ModuleEntry& module) {
  throw UnsupportedError(
      "target module '" + module.name + "': a module of type " + class_name(module) +
      " takes no adapter: expected Linear, Embedding, Conv1d, Conv2d, Conv3d, a transposed linear "
      "layer or MultiheadAttention, got " +
      class_name(module) + ". Leave it out of target_modules, or name its parts.");
}

void check_weight(const ModuleEntry& module, const at::Tensor& weight, const std::string& name,
                  SiteKind kind) {
  if (!weight.defined()) {
    throw ConfigError("target module '" + module.name + "': expected a registered parameter '" +
                      name + "', got none. " +
                      (module.script ? "A frozen module has no parameters: adapt it before "
                                       "torch::jit::freeze."
                                     : "Register the weight in the module."));
  }
  const bool fits = kind == SiteKind::kConvolution ? weight.dim() >= 3 : weight.dim() == 2;
  if (!fits) throw_unsupported_module(module);
}

FoundSite make_site(const ModuleEntry& module, const std::string& weight_name, SiteKind kind) {
  FoundSite found{
      .site = {}, .module = module, .weight = parameter(module, weight_name), .bias = {}};
  check_weight(module, found.weight, weight_name, kind);
  if (kind != SiteKind::kAttentionInput && kind != SiteKind::kEmbedding) {
    found.bias = parameter(module, "bias");
  }
  Site& site = found.site;
  site.module_name = module.name;
  site.parameter_name = weight_name;
  site.module_class = class_name(module);
  site.kind = kind;
  site.weight_shape = found.weight.sizes().vec();
  site.dtype = found.weight.scalar_type();
  site.device = found.weight.device();
  site.groups = kind == SiteKind::kConvolution ? groups_of(module) : 1;
  site.has_bias = found.bias.defined();
  set_features(site);
  return found;
}

std::vector<FoundSite> attention_sites(const ModuleEntry& module) {
  const at::Tensor in_proj = parameter(module, "in_proj_weight");
  if (!in_proj.defined() && parameter(module, "q_proj_weight").defined()) {
    throw ConfigError("target module '" + module.name +
                      "': expected an attention whose query, key and value have one width, got "
                      "different widths. Do not target this module.");
  }
  ModuleEntry output{.name = join_name(module.name, "out_proj"), .native = {}, .script = {}};
  if (module.native) {
    const auto children = module.native->named_children();
    if (const auto* child = children.find("out_proj")) output.native = *child;
  } else if (module.script->hasattr("out_proj")) {
    output.script =
        std::make_shared<torch::jit::Module>(module.script->attr("out_proj").toModule());
  }
  std::vector<FoundSite> sites{make_site(module, "in_proj_weight", SiteKind::kAttentionInput)};
  if (!output.native && !output.script) throw_unsupported_module(module);
  sites.push_back(make_site(output, "weight", SiteKind::kAttentionOutput));
  return sites;
}

}  // namespace

std::vector<FoundSite> sites_of(const ModuleEntry& module, bool fan_in_fan_out) {
  const auto kind = kind_of(module, fan_in_fan_out);
  if (!kind) throw_unsupported_module(module);
  if (*kind == SiteKind::kAttentionInput) return attention_sites(module);
  return {make_site(module, "weight", *kind)};
}

namespace {

// As the experts of Hugging Face's models say it: an attribute of the module.
bool has_transposed_experts(const ModuleEntry& module) {
  if (module.native) {
    const auto* declared = dynamic_cast<const DeclaresTransposedExperts*>(module.native.get());
    return declared != nullptr && declared->is_transposed();
  }
  constexpr const char* kName = "is_transposed";
  const auto type = module.script->type();
  if (const auto index = type->findConstantSlot(kName)) return type->getConstant(*index).toBool();
  return module.script->hasattr(kName) && module.script->attr(kName).toBool();
}

FoundSite parameter_site(const ModuleEntry& module, const std::string& name,
                         const at::Tensor& weight) {
  const std::string full = join_name(module.name, name);
  if (module.name.empty()) {
    throw ConfigError("target_parameters: '" + full +
                      "' is a parameter of the top-level module: expected one of a module below "
                      "it. Put the parameter into a module of its own.");
  }
  if (weight.dim() != 2 && weight.dim() != 3) {
    throw ConfigError("target_parameters: '" + full + "': expected 2 or 3 dimensions, got " +
                      std::to_string(weight.dim()) + ". Take it out of target_parameters.");
  }
  FoundSite found{.site = {}, .module = module, .weight = weight, .bias = {}};
  Site& site = found.site;
  site.module_name = module.name;
  site.parameter_name = name;
  site.module_class = class_name(module);
  site.kind = weight.dim() == 2 ? SiteKind::kLinear : SiteKind::kExperts;
  site.weight_shape = weight.sizes().vec();
  site.dtype = weight.scalar_type();
  site.device = weight.device();
  site.by_parameter = true;
  site.experts_transposed = weight.dim() == 3 && has_transposed_experts(module);
  set_features(site);
  return found;
}

}  // namespace

std::vector<FoundSite> parameter_sites(const std::vector<ModuleEntry>& modules,
                                       const std::vector<std::string>& names) {
  std::vector<FoundSite> sites;
  for (const ModuleEntry& module : modules) {
    const size_t first = sites.size();
    for (const auto& [name, tensor] : own_parameters(module)) {
      if (!matches_ending(module.name + "." + name, names)) continue;
      sites.push_back(parameter_site(module, name, tensor));
    }
    std::string path;
    for (size_t i = sites.size(); i > first; --i) {
      sites[i - 1].site.slot_path = path;
      path = join_name(path, "base_layer");
    }
  }
  return sites;
}

bool is_linear(const ModuleEntry& module) {
  const auto kind = declared_kind(module);
  return kind && is_linear(*kind);
}

bool is_embedding(const ModuleEntry& module) {
  return declared_kind(module) == SiteKind::kEmbedding;
}

bool is_convolution(const ModuleEntry& module) {
  return declared_kind(module) == SiteKind::kConvolution;
}

}  // namespace peft
