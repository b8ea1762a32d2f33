// EVA: ranks and values into the adapter and its config.

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "peft/adapter/matching.h"
#include "peft/adapter/tag.h"
#include "peft/adapter/targets.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/lora/init/eva.h"

namespace peft {
namespace {

constexpr size_t kManyTargets = 20;  // MIN_TARGET_MODULES_FOR_OPTIMIZATION

const EvaComponents* components_of(const std::vector<EvaComponents>& all, const std::string& name) {
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const EvaComponents& each) { return each.module_name == name; });
  return found == all.end() ? nullptr : &*found;
}

void check_components(const Tuner& tuner, const std::vector<EvaComponents>& components) {
  for (const Attachment& attachment : tuner.attachments()) {
    const Site& site = attachment.found.site;
    const EvaComponents* given = components_of(components, site.module_name);
    if (given == nullptr) continue;
    if (given->components.dim() == 2 && given->components.size(1) == site.in_features) continue;
    throw ConfigError("EVA: module '" + site.module_name + "': expected components [rank, " +
                      std::to_string(site.in_features) + "], got " +
                      shape_text(given->components.sizes().vec()) +
                      ". They were made for another model.");
  }
}

// What the config is to say afterwards.
struct NewRanks {
  std::vector<std::string> targets, plain, without;  // module names; without: rank 0
  std::vector<std::pair<std::string, int64_t>> rank_pattern;
  std::vector<std::pair<std::string, Number>> alpha_pattern;
};

void write_a(TunerLayer& layer, const std::string& adapter, const at::Tensor& components) {
  at::NoGradGuard no_grad;
  for (const SlotTensor& slot : layer.slots().tensors(adapter)) {
    if (slot.file_name == "lora_A.weight") slot.tensor.detach().copy_(components);
  }
}

at::ScalarType dtype_of(const TunerLayer& layer, const std::string& adapter) {
  return layer.slots().tensors(adapter).front().tensor.scalar_type();
}

// Makes the adapter of one site anew with a rank and alpha of its own.
void resize(Attachment& attachment, const std::string& adapter, LoraConfig config, int64_t rank,
            const Number& alpha) {
  config.r = rank;
  config.lora_alpha = alpha;
  config.rank_pattern.clear();
  config.alpha_pattern.clear();
  TunerLayer& layer = *attachment.layer;
  const auto dtype = dtype_of(layer, adapter);
  const PeftConfig resized(std::move(config));
  layer.remove(adapter);
  layer.add(adapter, resized, dtype);
  // The base stays: check_eva_request refuses the variant that changes it.
  layer.initialise(adapter, resized, base(attachment.found.weight).detach());
}

void initialise_site(Attachment& attachment, const std::string& adapter, const LoraConfig& config,
                     const EvaComponents* given, NewRanks& ranks) {
  const std::string& name = attachment.found.site.module_name;
  const bool own = attachment.found.site.kind != SiteKind::kAttentionOutput;
  const int64_t rank = pattern_value(config.rank_pattern, name, config.r, "rank_pattern");
  Number alpha = pattern_value(config.alpha_pattern, name, config.lora_alpha, "alpha_pattern");
  const auto note = [&](int64_t now) {
    if (now != config.r) ranks.rank_pattern.emplace_back(name, now);
    if (!(alpha == config.lora_alpha)) ranks.alpha_pattern.emplace_back(name, alpha);
  };
  // With low_cpu_mem_usage an adapter has no memory before.
  const bool empty = attachment.layer->slots().tensors(adapter).front().tensor.is_meta();
  if (given == nullptr) {
    // Layers that EVA does not serve keep their beginning, which is that of `true`.
    if (empty) resize(attachment, adapter, config, rank, alpha);
    if (!own) return;
    ranks.plain.push_back(name);
    return note(rank);
  }
  const int64_t dealt = given->components.size(0);
  if (dealt == 0) {
    ranks.without.push_back(name);
    return;
  }
  const EvaConfig settings = config.eva_config.value_or(EvaConfig());
  if (dealt != rank && settings.adjust_scaling_factors) {
    alpha = Number(static_cast<double>(alpha) *
                   (static_cast<double>(dealt) / static_cast<double>(rank)));
  }
  if (dealt != rank || empty) resize(attachment, adapter, config, dealt, alpha);
  write_a(*attachment.layer, adapter, given->components);
  ranks.targets.push_back(name);
  note(dealt);
}

TargetModules targets_of(const Tuner& tuner, const NewRanks& ranks) {
  std::vector<std::string> names = ranks.targets;
  names.insert(names.end(), ranks.plain.begin(), ranks.plain.end());
  if (names.size() < kManyTargets) return names;
  const std::set<std::string> wanted(names.begin(), names.end());
  std::vector<std::string> others;
  for (const ModuleEntry& module : tuner.tree().modules()) {
    if (!module.name.empty() && !wanted.contains(module.name)) others.push_back(module.name);
  }
  const auto few = minimal_targets(wanted, others);
  return std::vector<std::string>(few.begin(), few.end());
}

}  // namespace

void check_eva_request(const Tuner& tuner, const std::string& adapter) {
  const auto& config = tuner.config(adapter).as<LoraConfig>();
  if (tuner.active_adapters().size() > 1) {
    throw ConfigError("initialize_lora_eva_weights: expected a single active adapter, got " +
                      join_names(tuner.active_adapters()) + ". Activate one of them.");
  }
  if (config.init_lora_weights.word() != "eva") {
    throw ConfigError("initialize_lora_eva_weights: init_lora_weights: expected 'eva', got " +
                      config.init_lora_weights.text() + ". Make the adapter with 'eva'.");
  }
  if (config.use_bdlora.is_object() || config.kasa_config.is_object()) {
    const std::string field = config.use_bdlora.is_object() ? "use_bdlora" : "kasa_config";
    throw ConfigError("initialize_lora_eva_weights: " + field +
                      ": expected null, since EVA makes A anew with another rank, got settings. "
                      "Use another init_lora_weights with it.");
  }
}

void initialize_lora_eva_weights(Tuner& tuner, const std::vector<EvaComponents>& components,
                                 const std::string& adapter) {
  const LoraConfig config = tuner.config(adapter).as<LoraConfig>();
  check_eva_request(tuner, adapter);
  check_components(tuner, components);
  NewRanks ranks;
  for (Attachment& attachment : tuner.attachments()) {
    if (attachment.beside) continue;
    initialise_site(attachment, adapter, config,
                    components_of(components, attachment.found.site.module_name), ranks);
  }
  for (const std::string& name : ranks.without) tuner.remove_site(name);
  SharedFields fields = tuner.config(adapter).shared();
  *fields.target_modules = targets_of(tuner, ranks);
  *fields.rank_pattern = ranks.rank_pattern;
  *fields.alpha_pattern = ranks.alpha_pattern;
  tuner.set_active(tuner.active_adapters());
  if (ranks.plain.empty()) return;
  warn(
      "EVA: these layers begin as with init_lora_weights = true, since no components were given "
      "for them: " +
      join_names(ranks.plain) + ". Embeddings, attentions and convolutions are not served.");
}

}  // namespace peft
