#pragma once

#include <vector>

#include "peft/generate/continuation.h"
#include "peft/generate/step_reader.h"

namespace peft {

/// Follows num_beams rows of each prompt and returns the best num_return_sequences of them, those
/// of one prompt together, the best first. With do_sample the rows are drawn. Source:
/// transformers/generation/utils.py, GenerationMixin._beam_search.
std::vector<Continuation> beam_search(StepReader& reader, const GenerateOptions& options);

}  // namespace peft
