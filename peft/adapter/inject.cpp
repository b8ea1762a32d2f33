// Tuner::inject: everything is checked and created first, then attached.

#include <algorithm>
#include <utility>

#include "peft/adapter/injection_plan.h"
#include "peft/adapter/matching.h"
#include "peft/adapter/targets.h"
#include "peft/adapter/tuner.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"

namespace peft {

namespace {

struct Matches {
  std::vector<ModuleEntry> targeted;
  std::vector<std::string> excluded, unmatched;
};

// A head that gets the embedding's adapter, whatever the config says of it, is left to that.
Matches match_modules(const SharedFields& fields, const std::vector<ModuleEntry>& modules,
                      const std::string& tied_head) {
  Matches matches;
  const TargetMatcher matcher(fields);
  for (const ModuleEntry& module : modules) {
    if (module.name.empty() || module.name == tied_head) continue;
    switch (matcher.match(module.name)) {
      case MatchResult::kMatched:
        matches.targeted.push_back(module);
        break;
      case MatchResult::kExcluded:
        matches.excluded.push_back(module.name);
        break;
      case MatchResult::kUnmatched:
        matches.unmatched.push_back(module.name);
        break;
    }
  }
  return matches;
}

// The names that a person may have meant: last parts of module names, compared with each target.
std::string closest_targets(const TargetModules& targets, const std::vector<std::string>& names) {
  std::vector<std::string> parts;
  for (const std::string& name : names) {
    const std::string part = last_part(name);
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
  }
  std::vector<std::string> close;
  const auto wanted =
      targets.is_list() ? targets.names() : std::vector<std::string>{targets.pattern()};
  for (const std::string& target : wanted) {
    for (std::string& name : closest_names(last_part(target), parts)) {
      if (std::find(close.begin(), close.end(), name) == close.end()) {
        close.push_back(std::move(name));
      }
    }
  }
  if (close.empty()) return "The modules are called " + join_names(parts) + ".";
  return "Closest names: " + join_names(close) + ".";
}

[[noreturn]] void throw_no_match(const SharedFields& fields, const Matches& matches) {
  if (fields.target_modules->absent() && fields.target_parameters && *fields.target_parameters) {
    throw NoMatchError("target_parameters: " + join_names(**fields.target_parameters) +
                       " matched nothing: expected endings of parameters' names, got none that a "
                       "parameter has.");
  }
  if (matches.unmatched.empty() && !matches.excluded.empty()) {
    throw NoMatchError(
        "target_modules: all modules were excluded: expected at least one module to adapt, got "
        "none. Check target_modules, exclude_modules and modules_to_save.");
  }
  if (!fields.target_modules->truthy()) {
    throw NoMatchError("target_modules: expected names or a pattern, got " +
                       fields.target_modules->text() + ". Name the modules to adapt.");
  }
  std::string text = "target_modules: " + fields.target_modules->text() +
                     " matched nothing: expected a name or pattern that reaches one of " +
                     std::to_string(matches.unmatched.size() + matches.excluded.size()) +
                     " modules, got no match";
  if (!matches.excluded.empty()) {
    text += " outside of the " + std::to_string(matches.excluded.size()) +
            " that exclude_modules and modules_to_save take out";
  }
  if (fields.layers_to_transform && !fields.layers_to_transform->absent()) {
    text += " with layers_to_transform = " + fields.layers_to_transform->text();
  }
  if (fields.layers_pattern && !fields.layers_pattern->absent()) {
    text += " and layers_pattern = " + fields.layers_pattern->text();
  }
  throw NoMatchError(text + ". " + closest_targets(*fields.target_modules, matches.unmatched));
}

template <typename Patterns>
void warn_of_unused_patterns(const Patterns* patterns, const std::string& field,
                             const std::vector<std::string>& targeted) {
  if (patterns == nullptr || patterns->empty()) return;
  std::vector<std::string> keys;
  for (const auto& [key, value] : *patterns) keys.push_back(key);
  const auto unused = PatternKeys(keys, field).unmatched(targeted);
  if (!unused.empty()) {
    warn("The following " + field +
         " keys did not match any targeted module and were ignored: " + join_names(unused) + ".");
  }
}

// The kind of layer decides; a config that says otherwise is set right, as in Python.
void settle_fan_in(const SharedFields& fields, const Site& site) {
  if (fields.fan_in_fan_out == nullptr) return;
  const bool transposed = site.kind == SiteKind::kTransposedLinear;
  if (!transposed && site.kind != SiteKind::kLinear) return;
  if (*fields.fan_in_fan_out == transposed) return;
  const char* is = transposed ? "False" : "True";
  const char* becomes = transposed ? "True" : "False";
  warn("fan_in_fan_out is set to " + std::string(is) + " but the target module '" +
       site.module_name + "' is a `" + site.module_class + "`. Setting fan_in_fan_out to " +
       becomes + ".");
  *fields.fan_in_fan_out = transposed;
}

// Writes the new values of base weights and returns the former ones, one weight after the other, so
// that no third copy is needed.
std::vector<std::pair<at::Tensor, FormerValues>> change_base(
    std::vector<std::pair<at::Tensor, BaseChange>>& changes) {
  at::NoGradGuard no_grad;
  std::vector<std::pair<at::Tensor, FormerValues>> former;
  for (auto& [weight, change] : changes) {
    if (change.weight.defined()) {
      former.emplace_back(weight, weight);
      write_base(weight, change.weight);
      change.weight.reset();
    }
    if (change.done) change.done();
  }
  return former;
}

bool names_parameters(const SharedFields& fields) {
  return fields.target_parameters && *fields.target_parameters &&
         !(*fields.target_parameters)->empty();
}

void check_parameter_targets(const SharedFields& fields, const Tuner::Configs& others) {
  if (!names_parameters(fields)) return;
  const auto sorted = [](std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    return names;
  };
  const auto mine = sorted(**fields.target_parameters);
  for (const auto& [name, other] : others) {
    const SharedFields theirs = other.shared();
    if (!names_parameters(theirs) || sorted(**theirs.target_parameters) == mine) continue;
    throw ConfigError("target_parameters: expected the same parameters as adapter '" + name +
                      "' has, which are " + join_names(**theirs.target_parameters) + ", got " +
                      join_names(mine) + ". Their places in the file depend on each other.");
  }
}

void warn_of_unmatched(const SharedFields& fields, bool modules, bool parameters) {
  if (fields.target_modules->truthy() && !modules) {
    warn("target_modules=" + fields.target_modules->text() +
         " were set but no module was matched.");
  } else if (names_parameters(fields) && !parameters) {
    warn("target_parameters=" + join_names(**fields.target_parameters) +
         " were set but no parameter was matched.");
  }
}

}  // namespace

at::ScalarType adapter_dtype(at::ScalarType base, const InjectOptions& options) {
  if (!at::isFloatingType(base) && !at::isComplexType(base)) return at::kFloat;
  const bool narrow = at::isReducedFloatingType(base);
  return options.autocast_adapter_dtype && narrow ? at::kFloat : base;
}

const Method& Tuner::method_of(const std::string& adapter, const PeftConfig& config) const {
  std::vector<std::string> names;
  for (const Method* method : methods_) {
    if (method->name == config.peft_type()) return *method;
    names.emplace_back(method->name);
  }
  throw ConfigError(
      "adapter '" + adapter + "': " +
      (mixed_ ? "peft_type: it does not mix with others in one model: expected one of "
              : "adapters of different methods cannot be combined: expected ") +
      join(names, ", ") + ", got " + config.peft_type() + ". Put it on a model of its own.");
}

void Tuner::check_beside_others(const std::string& adapter, const PeftConfig& config) const {
  const Method& method = method_of(adapter, config);
  const std::string* bias = config.shared().bias;
  const bool has_bias = bias != nullptr && *bias != "none";
  for (const auto& [name, other] : configs_) {
    if (method.check_beside && other.peft_type() == method.name) {
      method.check_beside(config, name, other);
    }
    if (has_bias && other.shared().bias && *other.shared().bias != "none") {
      throw ConfigError("adapter '" + adapter +
                        "': only one adapter may train biases: expected bias = 'none', got '" +
                        *bias + "' beside adapter '" + name +
                        "'. Set bias = 'none' in one of them.");
    }
  }
}

void Tuner::inject(const std::string& adapter, PeftConfig config, const InjectOptions& options) {
  check_adapter_name(adapter);
  if (has(adapter)) {
    throw ConfigError("adapter '" + adapter + "': it exists already: expected a new name. " +
                      "Delete it first or choose another name.");
  }
  method_of(adapter, config);
  config.validate();
  config.complete();
  check_beside_others(adapter, config);
  const auto unstack = stack_layers(config.shared());
  try {
    put_in(adapter, std::move(config), options);
  } catch (...) {
    unstack_layers(unstack);
    throw;
  }
  last_injection_.unstack = unstack;
}

void Tuner::put_in(const std::string& adapter, PeftConfig config, const InjectOptions& options) {
  Plan plan = make_plan(adapter, config, options);
  // Only the very first adapter is activated by itself; also after the last one was deleted.
  const bool first = !started_;
  const bool inference = config.shared().inference_mode && *config.shared().inference_mode;
  try {
    attach(plan);
    attach_prompt(plan, adapter, config);
  } catch (...) {
    roll_back(plan, adapter);
    throw;
  }
  last_injection_ = {
      .adapter = adapter, .first = first, .sites = attachments_.size(), .saved = saved_.size()};
  last_injection_.changed = change_base(plan.changes);
  configs_.emplace_back(adapter, std::move(config));
  if (first) last_injection_.frozen = freeze_base();
  for (Attachment& attachment : plan.created) attachments_.push_back(std::move(attachment));
  for (auto& saved : plan.saved) saved_.push_back(std::move(saved));
  if (options.low_cpu_mem_usage && plan.attention.empty()) drop_values(adapter);
  for (Attachment& attachment : attachments_) {
    attachment.layer->set_enabled(enabled_);
    attachment.layer->slots().set_requires_grad(adapter, false);
  }
  started_ = true;
  if (first) {
    set_active({adapter}, inference);
    mark_biases();
  } else {
    for (Attachment& attachment : attachments_) attachment.layer->set_active(active_);
    for (auto& saved : saved_) {
      if (saved->has(adapter)) saved->slots().set_requires_grad(adapter, false);
    }
  }
}

void check_same_method(const Attachment& known, const Method& method) {
  if (known.method == &method) return;
  throw UnsupportedError(
      known.layer->parameter_name() +
      ": adapters of two methods on one weight are not served: expected one of " +
      std::string(known.method->name) + ", got one of " + std::string(method.name) +
      ". Let them target different modules.");
}

Tuner::Plan Tuner::make_plan(const std::string& adapter, PeftConfig& config,
                             const InjectOptions& options) {
  const Method& method = method_of(adapter, config);
  if (method.is_prompt_learning()) return make_prompt_plan(adapter, config);
  if (method.attention) return make_attention_plan(config, method);
  const auto modules = tree_.modules();
  Plan plan{.method = &method, .shared = SharedWeights(modules)};
  SharedFields fields = config.shared();
  check_parameter_targets(fields, configs_);
  const bool by_default = method.default_targets && method.default_targets(facts_.model_type);
  const bool parameters_alone =
      fields.target_modules->absent() && names_parameters(fields) && !by_default;
  plan.tying = settle_weight_tying(fields, facts_);
  if (!parameters_alone) {
    resolve_targets(fields, modules, facts_, method.default_targets);
  }
  const bool dummy = fields.target_modules->is_pattern() &&
                     fields.target_modules->pattern() == kDummyTargetModules;
  const bool matching = !dummy && !parameters_alone;
  const std::string tied_head = plan.tying == WeightTying::kTargets ? facts_.output_head : "";
  const Matches matches = matching ? match_modules(fields, modules, tied_head) : Matches{};
  if (fields.exclude_modules && fields.exclude_modules->truthy() && matches.excluded.empty()) {
    warn("You have passed exclude_modules=" + fields.exclude_modules->text() +
         " but no modules were excluded. Please check that exclude_modules was set correctly.");
  }
  try {
    plan_sites(plan, matches.targeted, adapter, config, options);
    plan_parameters(plan, modules, adapter, config, options);
    if (plan.targeted.empty() && !dummy) throw_no_match(fields, matches);
    if (!dummy) {
      warn_of_unmatched(fields, !matches.targeted.empty(),
                        plan.targeted.size() > matches.targeted.size());
    }
    plan_tied_target(plan, modules, adapter, config, options);
    plan_saved(plan, tree_.modules_with_duplicates(), adapter, fields);
    plan_tied_copy(plan, modules, adapter);
    plan_tokens(plan, modules, adapter, config, options);
  } catch (...) {
    roll_back(plan, adapter);
    throw;
  }
  warn_of_unused_patterns(fields.rank_pattern, "rank_pattern", plan.targeted);
  warn_of_unused_patterns(fields.alpha_pattern, "alpha_pattern", plan.targeted);
  return plan;
}

void Tuner::plan_sites(Plan& plan, const std::vector<ModuleEntry>& targeted,
                       const std::string& adapter, PeftConfig& config,
                       const InjectOptions& options) {
  for (const ModuleEntry& module : targeted) {
    plan.targeted.push_back(module.name);
    bool known = false;
    for (Attachment& attachment : attachments_) {
      const Site& site = attachment.found.site;
      const bool belongs =
          site.module_name == module.name ||
          (site.kind == SiteKind::kAttentionOutput && parent_name(site.module_name) == module.name);
      if (!belongs || site.by_parameter || attachment.beside) continue;
      known = true;
      check_same_method(attachment, *plan.method);
      if (attachment.layer->has(adapter)) continue;
      extend(plan, attachment, adapter, config, options);
    }
    if (known) continue;
    const bool* fan_in = config.shared().fan_in_fan_out;
    for (FoundSite& found : sites_of(module, fan_in != nullptr && *fan_in)) {
      settle_fan_in(config.shared(), found.site);
      auto layer = plan.method->make_layer(found.site);
      create(plan, {.found = std::move(found), .layer = std::move(layer), .method = plan.method},
             adapter, config, options);
    }
  }
}

void Tuner::extend(Plan& plan, const Attachment& known, const std::string& adapter,
                   const PeftConfig& config, const InjectOptions& options) const {
  known.layer->follow(known.found.weight);
  known.layer->add(adapter, config, adapter_dtype(known.layer->site().dtype, options));
  plan.extended.push_back(known.layer.get());
  initialise(plan, *known.layer, adapter, config, known.found.weight);
}

void Tuner::create(Plan& plan, Attachment made, const std::string& adapter,
                   const PeftConfig& config, const InjectOptions& options) const {
  made.layer->add(adapter, config, adapter_dtype(made.found.site.dtype, options));
  initialise(plan, *made.layer, adapter, config, made.found.weight);
  plan.created.push_back(std::move(made));
}

void Tuner::initialise(Plan& plan, TunerLayer& layer, const std::string& adapter,
                       const PeftConfig& config, const at::Tensor& weight) const {
  if (plan.tie_to != nullptr) layer.tie(adapter, config, *plan.tie_to);
  BaseChange change = layer.initialise(adapter, config, base(weight).detach());
  if (change.weight.defined() && merged()) {
    throw ConfigError("adapter '" + adapter +
                      "': it begins with a part of the base weights: expected weights without "
                      "adapters, got merged ones. Call unmerge_adapter() first.");
  }
  if (change.weight.defined() && !stacked_.is_null()) {
    throw UnsupportedError("adapter '" + adapter + "': " + layer.parameter_name() +
                           ": it begins with a part of the base weights: expected weights of one "
                           "layer each, got layers that share them (layer_replication). Use "
                           "init_lora_weights = true.");
  }
  if (change.weight.defined() || change.done) plan.changes.emplace_back(weight, std::move(change));
}

void Tuner::plan_saved(Plan& plan, const std::vector<ModuleEntry>& modules,
                       const std::string& adapter, const SharedFields& fields) {
  if (fields.modules_to_save == nullptr || !*fields.modules_to_save) return;
  for (const ModuleEntry& module : find_modules_to_save(modules, **fields.modules_to_save)) {
    const auto known = std::find_if(saved_.begin(), saved_.end(), [&](const auto& saved) {
      return saved->module().name == module.name;
    });
    if (known != saved_.end()) {
      (*known)->add(adapter);
      plan.saved_again.push_back(known->get());
      continue;
    }
    std::vector<ModuleEntry> below;
    for (const ModuleEntry& part : modules) {
      if (lies_under(part.name, module.name)) below.push_back(part);
    }
    plan.saved.push_back(std::make_unique<SavedModule>(module, below));
    plan.saved.back()->add(adapter);
  }
}

void Tuner::take_back_injection() {
  const Injection last = std::exchange(last_injection_, {});
  if (last.adapter.empty() || !has(last.adapter)) return;
  std::erase_if(configs_, [&](const auto& entry) { return entry.first == last.adapter; });
  std::erase(active_, last.adapter);
  prompts_.remove(last.adapter);
  attention_.remove(last.adapter);
  for (Attachment& attachment : attachments_) attachment.layer->remove(last.adapter);
  for (const auto& saved : saved_) saved->remove(last.adapter);
  for (size_t i = last.sites; i < attachments_.size(); ++i) detach_site(attachments_[i]);
  for (size_t i = last.saved; i < saved_.size(); ++i) detach_saved(*saved_[i]);
  attachments_.erase(attachments_.begin() + static_cast<ptrdiff_t>(last.sites), attachments_.end());
  saved_.erase(saved_.begin() + static_cast<ptrdiff_t>(last.saved), saved_.end());
  for (const auto& [weight, former] : last.changed) {
    former.put_back(weight);
  }
  if (last.first) {
    freeze_base();  // biases that the adapter let learn
    started_ = false;
  }
  for (const at::Tensor& tensor : last.frozen) tensor.requires_grad_(true);
  unstack_layers(last.unstack);
}

void Tuner::keep_injection() { last_injection_.changed.clear(); }

void Tuner::remove_site(const std::string& module_name) {
  last_injection_ = {};
  std::erase_if(attachments_, [&](Attachment& attachment) {
    if (attachment.found.site.module_name != module_name) return false;
    detach_site(attachment);
    return true;
  });
}

void Tuner::attach(Plan& plan) {
  for (Attachment& attachment : plan.created) {
    const FoundSite& found = attachment.found;
    ++plan.attached_sites;
    attachment.layer->slots().attach(tree_.home(found.module));
    const bool for_all = attachment.beside && plan.tokens_for_head &&
                         found.site.module_name == facts_.input_embedding;
    tag(found.weight, attachment.layer,
        for_all ? all_call_kinds()
                : plan.shared.kinds(found.weight, found.module.name, call_kind(found.site.kind)));
  }
  for (auto& saved : plan.saved) {
    ++plan.attached_saved;
    attach_saved(*saved, plan.shared);
  }
}

void Tuner::roll_back(Plan& plan, const std::string& adapter) {
  for (TunerLayer* layer : plan.extended) layer->remove(adapter);
  for (SavedModule* saved : plan.saved_again) saved->remove(adapter);
  for (size_t i = 0; i < plan.attached_sites; ++i) detach_site(plan.created[i]);
  for (size_t i = 0; i < plan.attached_saved; ++i) detach_saved(*plan.saved[i]);
}

void Tuner::attach_saved(SavedModule& saved, const SharedWeights& shared) {
  saved.slots().attach(tree_.home(saved.module()));
  for (const SavedModule::Member& member : saved.members()) {
    tag(member.base, std::static_pointer_cast<Replacement>(member.replacement),
        shared.kinds(member.base, member.owner.name, call_kind(member.owner)));
  }
}

void Tuner::detach_site(Attachment& attachment) {
  untag(attachment.found.weight, *attachment.layer);
  attachment.layer->slots().attach(nullptr);
}

void Tuner::detach_saved(SavedModule& saved) {
  for (const SavedModule::Member& member : saved.members()) {
    if (carries(member.base, *member.replacement)) untag(member.base, *member.replacement);
  }
  saved.slots().attach(nullptr);
}

}  // namespace peft
