#pragma once

#include <filesystem>

#include "peft/task_call.h"

namespace peft {

/// The body of a model, whose hidden states are the answer, with adapters. Prompts take no token
/// types, as in Python.
///
/// Source: PeftModelForFeatureExtraction in peft/peft_model.py.
class PeftModelForFeatureExtraction : public PeftModelFor<EncoderModel> {
 public:
  using PeftModelFor<EncoderModel>::PeftModelFor;

  static PeftModelForFeatureExtraction from_pretrained(EncoderModel model,
                                                       const std::filesystem::path& folder,
                                                       const FromPretrainedOptions& options = {}) {
    return PeftModelForFeatureExtraction(std::move(model), folder, options);
  }

  /// With a prompt of embeddings its states come before those of the tokens.
  /// Throws: what TaskScope and the model throw.
  EncoderOutput forward(const EncoderInput& input, const TaskCall& call = {});
};

}  // namespace peft
