#pragma once

#include <filesystem>

#include "peft/task_call.h"

namespace peft {

/// A model that scores classes of tokens, with adapters. Its head (`classifier`, `score`) is
/// trained and saved beside each adapter. Legend: B rows, T tokens, N virtual tokens, L labels.
///
/// Source: PeftModelForTokenClassification in peft/peft_model.py.
class PeftModelForTokenClassification : public PeftModelFor<TaskModel, PeftModelWithClassifier> {
 public:
  using PeftModelFor<TaskModel, PeftModelWithClassifier>::PeftModelFor;

  static PeftModelForTokenClassification from_pretrained(
      TaskModel model, const std::filesystem::path& folder,
      const FromPretrainedOptions& options = {}) {
    return PeftModelForTokenClassification(std::move(model), folder, options);
  }

  /// -> [B, T, L], or [B, N + T, L] with a prompt of embeddings before the tokens.
  /// Throws: what TaskScope and the model throw.
  at::Tensor forward(const EncoderInput& input, const TaskCall& call = {});

  /// The mean loss over the labels that are not -100; virtual tokens have none.
  ///   labels [B, T] int64 -> scalar float32
  at::Tensor loss(const EncoderInput& input, const at::Tensor& labels, const TaskCall& call = {});
};

}  // namespace peft
