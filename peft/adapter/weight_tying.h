#pragma once

#include <string>

#include "peft/adapter/config.h"
#include "peft/adapter/model_facts.h"

namespace peft {

/// What of an adapter is shared by an embedding and the head that is tied to it.
enum class WeightTying {
  kNone,     // nothing: each of them has its own
  kSaved,    // the copy of modules_to_save
  kTargets,  // the parameters of the method
};

/// What ensure_weight_tying asks for. The config then names the embedding in the place of the head,
/// as Python writes it into its file. Warns where nothing can be tied or nothing tied is adapted,
/// and where tied layers are adapted without ensure_weight_tying.
///
/// Throws: ConfigError for a bad regular expression among the names.
/// Source: BaseTuner._check_tied_modules in peft/tuners/tuners_utils.py,
/// _add_modules_to_save_to_tie and _add_targets_to_tie in peft/tuners/lora/model.py.
WeightTying settle_weight_tying(SharedFields& fields, const ModelFacts& facts);

/// Whether the last part of a module's name is one that Python knows embeddings and heads by.
bool is_embedding_name(const std::string& module_name);

/// Whether the config asks for tied adapters.
bool ensures_weight_tying(const SharedFields& fields);

}  // namespace peft
