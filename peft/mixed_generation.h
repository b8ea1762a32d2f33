#pragma once

#include "peft/adapter/mixed_batch.h"
#include "peft/generate/options.h"

namespace peft {

/// The options of a generation whose rows have adapters of their own: as rows leave the batch, or
/// become several beams, so do the adapters. Valid while `mixed` and `options` live.
GenerateOptions follow_rows(MixedBatch& mixed, const GenerateOptions& options);

}  // namespace peft
