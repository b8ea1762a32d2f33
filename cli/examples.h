#pragma once

#include <vector>

#include "cli/adapted_model.h"
#include "cli/console.h"
#include "peft/train/example.h"

namespace peft::cli {

/// Tokenises rows for a model; warns of those that were cut or have nothing to learn.
/// Throws: ConfigError naming file and line, also for a token that the model does not have.
std::vector<train::Example> examples_of(const std::vector<train::DataRow>& rows,
                                        const AdaptedModel& model,
                                        const train::ExampleOptions& options,
                                        const Console& console);

}  // namespace peft::cli
