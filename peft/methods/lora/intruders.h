#pragma once

#include <functional>
#include <string>

#include "peft/adapter/tuner.h"

namespace peft {

/// Settings of reduce_intruder_dimension.
struct IntruderOptions {
  std::string old_adapter_name = "default";
  std::string new_adapter_name = "intruder_reduced";
  int64_t top_k = 10;               // singular directions, from the strongest, that are looked at
  double threshold_epsilon = 0.5;   // cosine to the base's directions below which one intrudes
  double mitigation_lambda = 0.75;  // what stays of a direction that intrudes
  std::function<void(const std::string&)> log = {};  // told what is found; may be empty
};

namespace lora {

/// Adds and activates a copy of an adapter without what it does in directions that the base weights
/// do not have, which is where a model forgets. Copies of modules_to_save come along.
///
/// Throws: NotFoundError (the old adapter), ConfigError (the new name exists), UnsupportedError
/// (convolutions, attention, experts, variants). The model is then as it was.
/// Source: Shuttleworth et al., arXiv:2410.21228; peft/tuners/lora/intruders.py.
void reduce_intruder_dimension(Tuner& tuner, const IntruderOptions& options);

}  // namespace lora
}  // namespace peft
