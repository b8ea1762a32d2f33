// Tuner::inject: what is adapted beside the targeted modules: single parameters
// (target_parameters), rows of embeddings (trainable_token_indices), and a head that is tied to its
// embedding, adapter and all (ensure_weight_tying).

#include <algorithm>

#include "peft/adapter/injection_plan.h"
#include "peft/adapter/trainable_tokens.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"

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

void warn_of_no_tied_rows(const SharedFields& fields, const ModelFacts& facts) {
  if (facts.tied_head || fields.trainable_token_indices->is_null()) return;
  if (!ensures_weight_tying(fields)) return;
  warn(
      "ensure_weight_tying=True but the model does not have tied weights "
      "(tie_word_embeddings=False). Weight tying will not be applied for trainable_token_indices.");
}

[[noreturn]] void throw_other_rows(const SharedFields& fields) {
  throw ConfigError(
      "trainable_token_indices: Cannot ensure weight tying when different token indices are "
      "specified for tied layers: expected the same rows for the embedding and the head, got " +
      dump_json(*fields.trainable_token_indices, {.indent = std::nullopt}) +
      ". Name the same rows, or set ensure_weight_tying to false.");
}

// A module is adapted as a layer or parameter by parameter, by all adapters alike.
void check_not_targeted(const Site& parameter, const std::vector<Attachment>& attachments) {
  for (const Attachment& attachment : attachments) {
    const Site& site = attachment.found.site;
    if (site.by_parameter || attachment.beside || site.module_name != parameter.module_name) {
      continue;
    }
    throw ConfigError(
        "target_parameters: '" + parameter.full_name() +
        "': its module is targeted by target_modules too: expected it in one of them, "
        "got both. Leave it out of target_modules, or set target_modules = [].");
  }
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
    check_not_targeted(found.site, attachments_);
    check_not_targeted(found.site, plan.created);
    plan.targeted.push_back(found.site.full_name());
    const auto same = [&](const Attachment& attachment) {
      return attachment.found.site.by_parameter &&
             attachment.found.site.full_name() == found.site.full_name();
    };
    const auto known = std::find_if(attachments_.begin(), attachments_.end(), same);
    if (known != attachments_.end()) {
      check_same_method(*known, *plan.method);
      extend(plan, *known, adapter, config, options);
      continue;
    }
    auto layer = plan.method->make_layer(found.site);
    create(plan, {.found = std::move(found), .layer = std::move(layer), .method = plan.method},
           adapter, config, options);
  }
}

void Tuner::plan_tokens(Plan& plan, const std::vector<ModuleEntry>& modules,
                        const std::string& adapter, PeftConfig& config,
                        const InjectOptions& options) {
  const SharedFields fields = config.shared();
  if (fields.trainable_token_indices == nullptr) return;
  auto wanted = parse_token_rows(*fields.trainable_token_indices);
  plan.tokens_for_head = facts_.tied_head && share_rows(wanted, facts_);
  const bool apart = facts_.tied_head && !plan.tokens_for_head;
  if (apart && ensures_weight_tying(fields)) throw_other_rows(fields);
  warn_of_no_tied_rows(fields, facts_);
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
        extend(plan, *known, adapter, config, options);
        continue;
      }
      if (std::any_of(plan.created.begin(), plan.created.end(), same)) continue;
      FoundSite site = token_site(module);
      auto layer = std::make_shared<TrainableTokensLayer>(site.site);
      create(plan, {.found = std::move(site), .layer = std::move(layer), .beside = true}, adapter,
             config, options);
    }
  }
}

void Tuner::plan_tied_target(Plan& plan, const std::vector<ModuleEntry>& modules,
                             const std::string& adapter, PeftConfig& config,
                             const InjectOptions& options) {
  if (plan.tying != WeightTying::kTargets) return;
  std::vector<const Attachment*> all;
  for (const Attachment& attachment : attachments_) all.push_back(&attachment);
  for (const Attachment& attachment : plan.created) all.push_back(&attachment);
  for (const Attachment* attachment : all) {
    const bool is_it = attachment->found.site.module_name == facts_.input_embedding &&
                       !attachment->beside && attachment->layer->has(adapter);
    if (is_it) plan.tie_to = attachment->layer.get();
  }
  if (plan.tie_to == nullptr) {
    throw ConfigError("ensure_weight_tying: expected '" + facts_.input_embedding +
                      "' among the adapted modules, since the head gets its adapter, got it "
                      "excluded. Take it out of exclude_modules.");
  }
  for (const ModuleEntry& module : modules) {
    if (module.name == facts_.output_head) plan_sites(plan, {module}, adapter, config, options);
  }
  plan.tie_to = nullptr;
}

void Tuner::plan_tied_copy(Plan& plan, const std::vector<ModuleEntry>& modules,
                           const std::string& adapter) {
  if (plan.tying != WeightTying::kSaved) return;
  std::vector<SavedModule*> all;
  for (const auto& saved : saved_) all.push_back(saved.get());
  for (const auto& saved : plan.saved) all.push_back(saved.get());
  const auto named = [&](const std::string& name) -> SavedModule* {
    const auto found = std::find_if(
        all.begin(), all.end(), [&](const auto* saved) { return saved->module().name == name; });
    return found == all.end() ? nullptr : *found;
  };
  const SavedModule& embedding = *named(facts_.input_embedding);
  if (SavedModule* head = named(facts_.output_head)) {
    head->add_tied(adapter, embedding);
    plan.saved_again.push_back(head);
    return;
  }
  if (std::find(plan.targeted.begin(), plan.targeted.end(), facts_.output_head) !=
      plan.targeted.end()) {
    throw ConfigError("ensure_weight_tying: '" + facts_.output_head +
                      "' gets the embedding's copy of modules_to_save: expected it in "
                      "modules_to_save alone, got it in target_modules too. Take it out there.");
  }
  for (const ModuleEntry& module : modules) {
    if (module.name != facts_.output_head) continue;
    plan.saved.push_back(std::make_unique<SavedModule>(module, std::vector<ModuleEntry>{module}));
    plan.saved.back()->add_tied(adapter, embedding);
  }
}

void Tuner::tie_again(const std::string& adapter) {
  if (!facts_.tied_head || !ensures_weight_tying(config(adapter).shared())) return;
  const auto layer_at = [&](const std::string& module) -> TunerLayer* {
    for (const Attachment& attachment : attachments_) {
      const bool is_it = attachment.found.site.module_name == module && !attachment.beside &&
                         attachment.layer->has(adapter);
      if (is_it) return attachment.layer.get();
    }
    return nullptr;
  };
  const TunerLayer* embedding = layer_at(facts_.input_embedding);
  TunerLayer* head = layer_at(facts_.output_head);
  if (embedding != nullptr && head != nullptr) head->tie(adapter, config(adapter), *embedding);
}

}  // namespace peft
