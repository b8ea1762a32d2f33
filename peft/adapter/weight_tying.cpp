#include "peft/adapter/weight_tying.h"

#include <algorithm>

#include "peft/adapter/model_tree.h"
#include "peft/base/regex.h"
#include "peft/base/warnings.h"

namespace peft {
namespace {

bool names_embedding(const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), is_embedding_name);
}

// As in Python a pattern is compared with the bare names.
bool targets_embedding(const TargetModules* targets) {
  if (targets == nullptr) return false;
  if (targets->is_list()) return names_embedding(targets->names());
  if (!targets->is_pattern()) return false;
  const Regex pattern(targets->pattern(), Regex::Syntax::kPython, "target_modules");
  return pattern.full_match("embed_tokens") || pattern.full_match("lm_head");
}

// A name is a regular expression for some parts of a module's name.
void take_out_first(std::vector<std::string>& names, const std::string& module,
                    const std::string& where) {
  const auto means_it = [&](const std::string& name) {
    const Regex pattern("(^|.*\\.)" + name + "($|\\..*)", Regex::Syntax::kPython, where);
    return pattern.full_match(module);
  };
  const auto found = std::find_if(names.begin(), names.end(), means_it);
  if (found != names.end()) names.erase(found);
}

void name_embedding_alone(std::vector<std::string>& names, const ModelFacts& facts,
                          const std::string& where) {
  const std::string& embedding = facts.input_embedding;
  if (std::find(names.begin(), names.end(), embedding) == names.end()) names.push_back(embedding);
  take_out_first(names, facts.output_head, where);
}

// Letters, digits and underscores mean themselves.
std::string escaped(const std::string& name) {
  std::string text;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '_') text += '\\';
    text += c;
  }
  return text;
}

void target_embedding_alone(TargetModules& targets, const ModelFacts& facts) {
  if (targets.is_pattern()) {
    std::string addition = "|^";
    addition += escaped(facts.input_embedding);
    addition += "$)";
    // A file's pattern has it already; Python adds it once more with each loading.
    if (!targets.pattern().ends_with(addition)) targets = "(?:" + targets.pattern() + addition;
    return;
  }
  std::vector<std::string> names = targets.names();
  name_embedding_alone(names, facts, "target_modules");
  targets = names;
}

void warn_of_untied(const SharedFields& fields) {
  const std::string reason = fields.ensure_weight_tying != nullptr
                                 ? "`ensure_weight_tying` is not set to True."
                                 : "no implementation exists to tie the adapters.";
  warn("Model has `tie_word_embeddings=True` and a tied layer is part of the adapter, but " +
       reason +
       " This can lead to complications, for example when merging the adapter or converting your "
       "model to formats other than safetensors.");
}

}  // namespace

bool is_embedding_name(const std::string& module_name) {
  const std::string part = last_part(module_name);
  return part == "embed_tokens" || part == "lm_head";
}

bool ensures_weight_tying(const SharedFields& fields) {
  return fields.ensure_weight_tying != nullptr && *fields.ensure_weight_tying;
}

WeightTying settle_weight_tying(SharedFields& fields, const ModelFacts& facts) {
  const bool saved = fields.modules_to_save && *fields.modules_to_save &&
                     names_embedding(**fields.modules_to_save);
  const bool targeted = targets_embedding(fields.target_modules);
  if (!ensures_weight_tying(fields)) {
    if (facts.tied_head && (saved || targeted)) warn_of_untied(fields);
    return WeightTying::kNone;
  }
  if (!facts.tied_head) {
    warn(
        "You have requested `ensure_weight_tying`, but no tied modules were found in the model: "
        "nothing is tied.");
    return WeightTying::kNone;
  }
  if (saved) {
    name_embedding_alone(**fields.modules_to_save, facts, "modules_to_save");
    return WeightTying::kSaved;
  }
  if (targeted) {
    target_embedding_alone(*fields.target_modules, facts);
    return WeightTying::kTargets;
  }
  warn(
      "You have requested `ensure_weight_tying`, but no tied modules are added in either "
      "`modules_to_save` or `target_modules`: nothing is tied.");
  return WeightTying::kNone;
}

}  // namespace peft
