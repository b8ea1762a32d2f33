// Tuner::inject: what is adapted beside the targeted modules: single parameters
// (target_parameters), and rows of embeddings (trainable_token_indices).

#include <algorithm>

#include "peft/adapter/injection_plan.h"
#include "peft/adapter/trainable_tokens.h"
#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

bool is_saved_too(const SharedFields& fields, const std::string& name) {
  if (fields.modules_to_save == nullptr || !*fields.modules_to_save) return false;
  const auto& saved = **fields.modules_to_save;
  return std::find(saved.begin(), saved.end(), name) != saved.end();
}

std::vector<ModuleEntry> modules_ending_in(const std::vector<ModuleEntry>& modules,
                                           const std::string& name) {
  std::vector<ModuleEntry> found;
  for (const ModuleEntry& module : modules) {
    if (!module.name.empty() && module.name.ends_with(name)) found.push_back(module);
  }
  return found;
}

// The head of a tied model reads the rows that are trained for the embedding, unless it has been
// given others of its own. The same ones are not trained twice: they leave `wanted`.
bool share_rows(std::vector<TokenRows>& wanted, const ModelFacts& facts) {
  const auto of = [&](const std::string& module) {
    return std::find_if(wanted.begin(), wanted.end(), [&](const TokenRows& rows) {
      return !rows.module.empty() && !module.empty() && module.ends_with(rows.module);
    });
  };
  const auto embedding = of(facts.input_embedding), head = of(facts.output_head);
  if (embedding == wanted.end() || head == wanted.end()) return true;
  if (embedding->indices != head->indices) return false;
  wanted.erase(head);
  return true;
}

FoundSite token_site(const ModuleEntry& module) {
  std::vector<FoundSite> sites = sites_of(module);
  const SiteKind kind = sites.front().site.kind;
  if (kind == SiteKind::kEmbedding || kind == SiteKind::kLinear) return std::move(sites.front());
  throw ConfigError("trainable_token_indices: '" + module.name +
                    "': expected an embedding or a linear layer, got " + class_name(module) + ".");
}

}  // namespace

void Tuner::plan_parameters(Plan& plan, const std::vector<ModuleEntry>& modules,
                            const std::string& adapter, PeftConfig& config,
                            const InjectOptions& options) {
  const auto* names = config.shared().target_parameters;
  if (names == nullptr || !*names || (*names)->empty()) return;
  for (FoundSite& found : parameter_sites(modules, **names)) {
    plan.targeted.push_back(found.site.full_name());
    const auto same = [&](const Attachment& attachment) {
      return attachment.found.site.by_parameter &&
             attachment.found.site.full_name() == found.site.full_name();
    };
    const auto dtype = adapter_dtype(found.site.dtype, options);
    const auto known = std::find_if(attachments_.begin(), attachments_.end(), same);
    if (known != attachments_.end()) {
      known->layer->add(adapter, config, dtype);
      plan.extended.push_back(known->layer.get());
      initialise(plan, *known->layer, adapter, config, found.weight);
      continue;
    }
    const auto layer = method_.make_layer(found.site);
    layer->add(adapter, config, dtype);
    initialise(plan, *layer, adapter, config, found.weight);
    plan.created.push_back({.found = std::move(found), .layer = layer});
  }
}

void Tuner::plan_tokens(Plan& plan, const std::vector<ModuleEntry>& modules,
                        const std::string& adapter, PeftConfig& config,
                        const InjectOptions& options) {
  const SharedFields fields = config.shared();
  if (fields.trainable_token_indices == nullptr) return;
  auto wanted = parse_token_rows(*fields.trainable_token_indices);
  plan.tokens_for_head = facts_.tied_head && share_rows(wanted, facts_);
  for (const TokenRows& rows : wanted) {
    std::string name = rows.module;
    if (name.empty())
      name = facts_.input_embedding.empty() ? "embed_tokens" : facts_.input_embedding;
    if (is_saved_too(fields, name)) {
      throw ConfigError("trainable_token_indices: '" + name +
                        "' is in modules_to_save too: expected it in one of them, got both. Train "
                        "the module in full, or some of its rows.");
    }
    const auto found = modules_ending_in(modules, name);
    if (found.empty()) {
      throw NoMatchError("trainable_token_indices: no module is called '" + name +
                         "': expected the end of a module's name. Name the embedding.");
    }
    for (const ModuleEntry& module : found) {
      const auto same = [&](const Attachment& attachment) {
        return attachment.beside && attachment.found.site.module_name == module.name;
      };
      const auto known = std::find_if(attachments_.begin(), attachments_.end(), same);
      if (known != attachments_.end()) {
        if (known->layer->has(adapter)) continue;
        known->layer->add(adapter, config, adapter_dtype(known->found.site.dtype, options));
        plan.extended.push_back(known->layer.get());
        initialise(plan, *known->layer, adapter, config, known->found.weight);
        continue;
      }
      if (std::any_of(plan.created.begin(), plan.created.end(), same)) continue;
      FoundSite site = token_site(module);
      const auto layer = std::make_shared<TrainableTokensLayer>(site.site);
      layer->add(adapter, config, adapter_dtype(site.site.dtype, options));
      initialise(plan, *layer, adapter, config, site.weight);
      plan.created.push_back({.found = std::move(site), .layer = layer, .beside = true});
    }
  }
}

}  // namespace peft
