#include "peft/convert_to_lora.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/adapter/file_prefix.h"
#include "peft/adapter/folding.h"
#include "peft/adapter_folder.h"
#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/layer.h"
#include "peft/methods/lora/variants/variant.h"

namespace peft {
namespace {

struct Factors {
  at::Tensor a, b;  // [R, I], [O, R]
};

// The smallest rank whose squared singular values make up the share. Source: _find_cutoff_index.
int64_t cutoff(const at::Tensor& singular_values, double share) {
  const at::Tensor sums = singular_values.square().cumsum(0);
  const at::Tensor wanted = share * sums[-1];
  return at::searchsorted(sums, wanted.reshape({1})).item<int64_t>() + 1;
}

Factors decompose(const at::Tensor& change, const ConversionRank& rank, const std::string& where) {
  const auto svd = at::linalg_svd(change.to(at::kFloat), false);
  const auto& values = std::get<1>(svd);
  const int64_t kept = std::holds_alternative<int64_t>(rank)
                           ? std::get<int64_t>(rank)
                           : std::min(cutoff(values, std::get<double>(rank)), values.size(0));
  if (kept > values.size(0)) {
    throw ConfigError("convert_to_lora: " + where +
                      ": the chosen rank is larger than the weight: " + "expected at most " +
                      std::to_string(values.size(0)) + ", got " + std::to_string(kept) +
                      ". Choose a lower rank.");
  }
  return {.a = std::get<2>(svd).narrow(0, 0, kept).to(change.scalar_type()).contiguous(),
          .b = (std::get<0>(svd).narrow(1, 0, kept) * values.narrow(0, 0, kept))
                   .to(change.scalar_type())
                   .contiguous()};
}

void check_rank(const ConversionRank& rank) {
  if (const auto* share = std::get_if<double>(&rank); share && !(*share > 0.0 && *share <= 1.0)) {
    throw ConfigError(
        "convert_to_lora: if rank is a fraction, it is a threshold: expected a number above 0 and "
        "up to 1, got " +
        std::to_string(*share) + ".");
  }
  if (const auto* number = std::get_if<int64_t>(&rank); number && *number < 1) {
    throw ConfigError("convert_to_lora: rank: expected 1 or more, got " + std::to_string(*number) +
                      ".");
  }
}

// Why a layer's adapter cannot become plain LoRA; empty: it can.
std::string conversion_obstacle(const Attachment& attachment, const std::string& adapter) {
  const SiteKind kind = attachment.layer->site().kind;
  std::string problem;
  if (!is_linear(kind)) {
    problem = "only linear layers can be converted, got a " + attachment.layer->site().module_class;
  }
  if (attachment.beside) problem = "trainable tokens cannot be converted";
  if (const auto* lora = dynamic_cast<const lora::LoraLayer*>(attachment.layer.get())) {
    const auto& variant = lora->adapter(adapter).variant;
    if (variant && !variant->supports_lora_conversion()) {
      problem = "this variant of LoRA does not support conversion";
    }
  }
  return problem;
}

void check_layer(const Attachment& attachment, const std::string& adapter) {
  const std::string problem = conversion_obstacle(attachment, adapter);
  if (problem.empty()) return;
  throw UnsupportedError("convert_to_lora: " + attachment.layer->parameter_name() + ": " + problem +
                         ". Merge the adapter instead.");
}

void check_config(const PeftConfig& config) {
  if (config.peft_type() == "LORA") {
    warn(
        "Converting a PEFT adapter to LoRA that is already a LoRA adapter. There is typically no "
        "need for that.");
  }
  const std::string* bias = config.shared().bias;
  if (bias == nullptr || *bias == "none") return;
  throw ConfigError("convert_to_lora: the adapter's config sets bias='" + *bias +
                    "': expected none, which is all that is supported.");
}

LoraConfig new_config(const PeftConfig& from, const ConversionRank& rank) {
  const SharedFields fields = from.shared();
  LoraConfig config;
  if (const auto* number = std::get_if<int64_t>(&rank)) config.r = *number;
  if (std::holds_alternative<double>(rank)) config.r = 1;  // each layer has its own
  config.lora_alpha = config.r;
  config.exclude_modules = NamesOrPattern(std::vector<std::string>{});
  if (fields.target_modules) config.target_modules = *fields.target_modules;
  if (fields.base_model_name_or_path) {
    config.base_model_name_or_path = *fields.base_model_name_or_path;
  }
  if (fields.layers_pattern) config.layers_pattern = *fields.layers_pattern;
  if (fields.layers_to_transform) config.layers_to_transform = *fields.layers_to_transform;
  if (fields.modules_to_save) config.modules_to_save = *fields.modules_to_save;
  return config;
}

// A pattern cannot be extended by a name: there each layer tells its rank.
void note_rank(LoraConfig& config, const std::string& module, int64_t kept,
               const ConversionRank& rank) {
  const auto* wanted = std::get_if<int64_t>(&rank);
  const bool as_wanted = wanted != nullptr && *wanted == kept;
  if (as_wanted && config.target_modules.is_list()) {
    std::vector<std::string> names = config.target_modules.names();
    if (std::find(names.begin(), names.end(), module) == names.end()) names.push_back(module);
    config.target_modules = TargetModules(std::move(names));
    return;
  }
  config.rank_pattern.emplace_back(module, kept);
  config.alpha_pattern.emplace_back(module, Number(kept));
}

void add_saved_modules(const Tuner& tuner, const std::string& adapter, StateDict& tensors) {
  for (const auto& [key, tensor] : tuner.state(adapter)) {
    for (const auto& saved : tuner.saved_modules()) {
      if (!saved->has(adapter) || !key.starts_with(kFilePrefix)) continue;
      if (lies_under(without_file_prefix(key), saved->module().name)) {
        tensors.set(key, tensor);
      }
    }
  }
}

}  // namespace

bool supports_lora_conversion(const PeftModel& model, const std::string& adapter_name) {
  const auto& attachments = model.tuner().attachments();
  model.peft_config(adapter_name);
  if (model.tuner().is_prompt_learning() || model.tuner().method().attention) return false;
  return std::all_of(attachments.begin(), attachments.end(), [&](const Attachment& attachment) {
    return !attachment.layer->has(adapter_name) ||
           conversion_obstacle(attachment, adapter_name).empty();
  });
}

LoraConversion convert_to_lora(const PeftModel& model, ConversionRank rank,
                               const std::string& adapter_name, const LayerProgress& progress) {
  const Tuner& tuner = model.tuner();
  check_rank(rank);
  const PeftConfig& config = tuner.config(adapter_name);
  check_config(config);
  std::vector<const Attachment*> layers;
  for (const Attachment& attachment : tuner.attachments()) {
    if (!attachment.layer->has(adapter_name)) continue;
    check_layer(attachment, adapter_name);
    layers.push_back(&attachment);
  }
  if (layers.empty()) {
    throw UnsupportedError(
        "convert_to_lora: could not detect any layer that supports LoRA conversion: expected "
        "linear "
        "layers with adapter '" +
        adapter_name + "', got none.");
  }
  at::NoGradGuard no_grad;
  LoraConversion conversion{.config = new_config(config, rank), .tensors = {}};
  int64_t done = 0;
  for (const Attachment* attachment : layers) {
    const Site& site = attachment->layer->site();
    const at::Tensor weight = plain_weight(*attachment);
    at::Tensor change = attachment->layer->delta_of(adapter_name, weight);
    if (site.kind == SiteKind::kTransposedLinear) change = change.t();
    const Factors factors = decompose(change, rank, site.module_name);
    note_rank(conversion.config, site.module_name, factors.a.size(0), rank);
    const std::string key = kFilePrefix + site.module_name;
    conversion.tensors.set(key + ".lora_A.weight", factors.a);
    conversion.tensors.set(key + ".lora_B.weight", factors.b);
    if (progress) progress(++done, static_cast<int64_t>(layers.size()));
  }
  add_saved_modules(tuner, adapter_name, conversion.tensors);
  return conversion;
}

void save_as_lora(const PeftModel& model, const std::filesystem::path& folder, ConversionRank rank,
                  const std::string& adapter_name, const LayerProgress& progress) {
  LoraConversion conversion = convert_to_lora(model, rank, adapter_name, progress);
  conversion.config.inference_mode = true;
  write_adapter(folder, conversion.config, conversion.tensors);
}

}  // namespace peft
