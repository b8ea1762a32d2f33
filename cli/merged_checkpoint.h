#pragma once

#include <filesystem>

#include "peft/formats/checkpoint.h"
#include "peft/models/common/language_model.h"

namespace peft::cli {

struct MergedReport {
  size_t tensors = 0;
  bool has_tokenizer = false;
};

/// Writes a model as a checkpoint folder that transformers loads, with the tokenizer and the other
/// companions of the checkpoint that it came from.  Throws: IoError.
MergedReport write_merged_checkpoint(const std::filesystem::path& folder,
                                     const LanguageModelImpl& model,
                                     const formats::Checkpoint& origin);

}  // namespace peft::cli
