#pragma once

#include <memory>
#include <string>

#include "cli/console.h"
#include "peft/hub/transfer.h"

namespace peft::cli {

/// A callback that draws a bar over all files of a transfer on the talk stream; the bar appears
/// with the first bytes and ends with the last copy of the callback. `console` must outlive it.
hub::ProgressCallback transfer_bar(const Console& console, std::string label);

}  // namespace peft::cli
