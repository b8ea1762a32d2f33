#pragma once

#include <filesystem>

#include "peft/formats/checkpoint.h"
#include "peft/peft_model_for_causal_lm.h"

namespace peft::cli {

struct MergeCheckpointOptions {
  bool safe = false;            // refuse values that are not finite
  LayerProgress progress = {};  // called with the weights, or layers, that are done and of all
};

struct MergedReport {
  size_t tensors = 0;
  bool has_tokenizer = false;
};

/// Folds the active adapters into their base and writes a checkpoint folder that transformers
/// loads, with the tokenizer and the other companions of the checkpoint that the base came from.
/// Weights are merged one by one while they are written, so that a base that is mapped from files
/// needs little memory; with copies of whole modules the model is merged in place. It is not to be
/// used afterwards.  Throws: IoError; what merge_and_unload throws.
MergedReport write_merged_checkpoint(const std::filesystem::path& folder,
                                     PeftModelForCausalLM& adapted,
                                     const formats::Checkpoint& origin,
                                     const MergeCheckpointOptions& options = {});

}  // namespace peft::cli
