// Tuner: when the base's embeddings go into an adapter's file, and which.

#include <algorithm>

#include "peft/adapter/file_names.h"
#include "peft/adapter/tuner.h"
#include "peft/adapter/weight_tying.h"
#include "peft/base/regex.h"
#include "peft/base/warnings.h"

namespace peft {

// A list has to hold the bare name; a pattern is compared with the names of the model's modules.
bool Tuner::targets_embeddings(const PeftConfig& config) const {
  const TargetModules* targets = config.shared().target_modules;
  if (targets == nullptr || targets->absent()) return false;
  if (targets->is_list()) {
    const auto& names = targets->names();
    return std::find(names.begin(), names.end(), "embed_tokens") != names.end() ||
           std::find(names.begin(), names.end(), "lm_head") != names.end();
  }
  if (targets->pattern() == "all-linear") return false;
  const Regex pattern(targets->pattern(), Regex::Syntax::kPython, "target_modules");
  for (const ModuleEntry& module : tree_.modules()) {
    if (is_embedding_name(module.name) && pattern.full_match(module.name)) return true;
  }
  return false;
}

void Tuner::add_embedding_state(const PeftConfig& config, const StateOptions& options,
                                StateDict& state) const {
  using enum SaveEmbeddingLayers;
  if (options.save_embedding_layers == kNo) return;
  const bool targeted = targets_embeddings(config);
  if (options.save_embedding_layers == kAuto) {
    // Whoever trains some rows does not want all of them in the file.
    const Json* tokens = config.shared().trainable_token_indices;
    const bool single_tokens = tokens != nullptr && !tokens->is_null();
    if (targeted && !single_tokens) {
      warn(
          "Setting `save_embedding_layers` to `True` as embedding layers found in "
          "`target_modules`.");
    } else if (options.vocabulary_grew) {
      warn(
          "Setting `save_embedding_layers` to `True` as the embedding layer has been resized "
          "during finetuning.");
    } else {
      return;
    }
  }
  if (!facts_.is_pretrained) {
    warn(
        "Could not identify embedding layer(s) because the model is not a language model of this "
        "library: their base weights are not saved with the adapter.");
    return;
  }
  const FileNames file_name(*this);
  for (const ModuleEntry& module : tree_.modules()) {
    if (module.name != facts_.input_embedding && module.name != facts_.output_head) continue;
    // Where embeddings are targeted, only those that are adapted are saved.
    if (targeted && !file_name.targets(module.name)) continue;
    for (const auto& [key, tensor] : own_parameters(module)) {
      state.set(file_name(join_name(module.name, key)), base(tensor).detach());
    }
  }
}

}  // namespace peft
