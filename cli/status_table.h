#pragma once

#include <string>
#include <vector>

#include "peft/base/terminal.h"
#include "peft/status.h"

namespace peft::cli {

/// The status of a model and of its layers for people: a list of facts, then a table with a line a
/// layer.
std::string describe_status(const TunerModelStatus& model,
                            const std::vector<TunerLayerStatus>& layers, const Terminal& terminal);

}  // namespace peft::cli
