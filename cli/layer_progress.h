#pragma once

#include "cli/console.h"
#include "peft/adapter/tuner.h"

namespace peft::cli {

/// A callback that draws a bar over a model's layers on the talk stream; the bar appears with the
/// first layer and ends with the last one. `console` must outlive it.
LayerProgress layer_bar(const Console& console, const char* label);

}  // namespace peft::cli
