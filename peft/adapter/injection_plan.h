#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/adapter/shared_weights.h"
#include "peft/adapter/tuner.h"
#include "peft/adapter/weight_tying.h"

namespace peft {

/// What an injection is about to do. Everything is made and checked before the first change to the
/// model.
struct Tuner::Plan {
  const Method* method = nullptr;                               // of the adapter
  std::vector<Attachment> created = {};                         // new sites, not in the model yet
  std::vector<TunerLayer*> extended = {};                       // sites that get one more adapter
  std::vector<std::unique_ptr<SavedModule>> saved = {};         // new modules to save
  std::vector<SavedModule*> saved_again = {};                   // that get one more copy
  std::vector<std::pair<at::Tensor, BaseChange>> changes = {};  // of base weights
  std::vector<std::string> targeted = {};               // names of modules, or of parameters
  WeightTying tying = WeightTying::kNone;               // of a head with its embedding
  const TunerLayer* tie_to = nullptr;                   // whose parameters the next sites share
  bool tokens_for_head = false;                         // a tied head reads the trained rows, too
  std::shared_ptr<BasePromptEncoder> prompt = nullptr;  // of prompt learning
  std::vector<ModuleEntry> attention = {};              // layers whose output is added to
  size_t attached_sites = 0, attached_saved = 0;        // how far attach() came
  SharedWeights shared;
};

/// Throws: UnsupportedError where the layer at a site is of another method than a new adapter.
void check_same_method(const Attachment& known, const Method& method);

/// Half-precision adapters train badly: they are kept in float32 unless that is switched off.
at::ScalarType adapter_dtype(at::ScalarType base, const InjectOptions& options);

}  // namespace peft
