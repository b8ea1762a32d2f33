#pragma once

#include <vector>

#include "peft/generate/continuation.h"
#include "peft/generate/step_reader.h"

namespace peft {

/// One token after the other: the most likely one, or one that is drawn. Rows that are done leave
/// the batch.
/// Source: transformers/generation/utils.py, GenerationMixin._sample.
std::vector<Continuation> sample(StepReader& reader, const GenerateOptions& options);

}  // namespace peft
