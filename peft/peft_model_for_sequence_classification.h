#pragma once

#include <filesystem>

#include "peft/task_call.h"

namespace peft {

/// A model that scores classes of whole rows, with adapters. Its head (`classifier`, `score`) is
/// trained and saved beside each adapter. Legend: B rows, L labels.
///
/// Source: PeftModelForSequenceClassification in peft/peft_model.py.
class PeftModelForSequenceClassification : public PeftModelFor<TaskModel, PeftModelWithClassifier> {
 public:
  using PeftModelFor<TaskModel, PeftModelWithClassifier>::PeftModelFor;

  static PeftModelForSequenceClassification from_pretrained(
      TaskModel model, const std::filesystem::path& folder,
      const FromPretrainedOptions& options = {}) {
    return PeftModelForSequenceClassification(std::move(model), folder, options);
  }

  /// -> [B, L].  Throws: what TaskScope and the model throw.
  at::Tensor forward(const EncoderInput& input, const TaskCall& call = {});

  /// The mean loss over the rows: see sequence_classification_loss.
  ///   labels [B] int64, or [B, L] floating -> scalar float32
  at::Tensor loss(const EncoderInput& input, const at::Tensor& labels, const TaskCall& call = {});
};

}  // namespace peft
