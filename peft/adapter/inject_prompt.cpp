// Tuner: how a prompt gets beside a model or into its attention layers, and which one is in use.

#include <algorithm>

#include "peft/adapter/injection_plan.h"
#include "peft/adapter/prompt_config.h"
#include "peft/base/error.h"

namespace peft {
namespace {

const PromptFacts& prompt_facts(const Tuner& tuner, const Method& method) {
  if (tuner.facts().prompts) return *tuner.facts().prompts;
  throw UnsupportedError(
      std::string(method.name) +
      ": the model cannot have prompts: expected a peft::LanguageModel, "
      "which offers embed(), shape(), new_cache() and a forward that takes embeddings, a cache, "
      "positions and a mask, got a module of type " +
      tuner.tree().class_name() + ", which is none. Let it implement peft::LanguageModelImpl.");
}

}  // namespace

Tuner::Plan Tuner::make_prompt_plan(const std::string& adapter, PeftConfig& config) {
  const Method& method = method_of(adapter, config);
  const PromptFacts& facts = prompt_facts(*this, method);
  if (method.prompt_is_cache && facts.recomputes()) {
    throw ConfigError(std::string(method.name) +
                      " does not work with gradient checkpointing: expected a model without it, "
                      "got one with it. Call set_gradient_checkpointing(false).");
  }
  const SharedFields fields = config.shared();
  prepare_prompt_learning_config(fields, facts, method.prompt_is_cache);
  Plan plan{.method = &method, .shared = SharedWeights(tree_.modules())};
  plan.prompt = method.make_prompt_encoder(config, facts);
  plan.prompt->to(facts.embed(at::zeros({1}, at::kLong)).device());
  try {
    plan_saved(plan, tree_.modules_with_duplicates(), adapter, fields);
  } catch (...) {
    roll_back(plan, adapter);
    throw;
  }
  return plan;
}

Tuner::Plan Tuner::make_attention_plan(PeftConfig& config, const Method& method) {
  const auto modules = tree_.modules();
  Plan plan{.method = &method, .shared = SharedWeights(modules)};
  plan.attention = find_attention_layers(config, *method.attention, modules, facts_.model_type);
  return plan;
}

void Tuner::attach_prompt(const Plan& plan, const std::string& adapter, const PeftConfig& config) {
  if (plan.prompt) prompts_.add(adapter, plan.prompt, tree_.native_root());
  if (plan.attention.empty()) return;
  attention_.add(adapter, config, *plan.method->attention, plan.attention, facts_.model_type,
                 prompt_facts(*this, *plan.method).hidden);
  for (const auto& layer : attention_.layers()) layer.slots->set_requires_grad(adapter, false);
}

BasePromptEncoder* Tuner::active_prompt() const {
  return enabled_ && !active_.empty() ? prompts_.find(active_.front()) : nullptr;
}

}  // namespace peft
