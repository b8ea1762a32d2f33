#pragma once

#include <filesystem>

#include "peft/task_call.h"

namespace peft {

/// A model that finds the borders of an answer in its tokens, with adapters. Its head
/// (`qa_outputs`) is trained and saved beside each adapter. As in Python the token types of the
/// input are not read, and positions count what the model reads, virtual tokens included.
/// Legend: B rows, T tokens, N virtual tokens.
///
/// Source: PeftModelForQuestionAnswering in peft/peft_model.py.
class PeftModelForQuestionAnswering : public PeftModelFor<TaskModel, PeftModelWithSpanHead> {
 public:
  using PeftModelFor<TaskModel, PeftModelWithSpanHead>::PeftModelFor;

  static PeftModelForQuestionAnswering from_pretrained(TaskModel model,
                                                       const std::filesystem::path& folder,
                                                       const FromPretrainedOptions& options = {}) {
    return PeftModelForQuestionAnswering(std::move(model), folder, options);
  }

  /// Scores of the start and the end.  -> [B, T, 2], or [B, N + T, 2] with a prompt of embeddings.
  /// Throws: what TaskScope and the model throw.
  at::Tensor forward(const EncoderInput& input, const TaskCall& call = {});

  /// The mean of both borders' losses.  start, end [B] int64 -> scalar float32
  at::Tensor loss(const EncoderInput& input, const at::Tensor& start, const at::Tensor& end,
                  const TaskCall& call = {});
};

}  // namespace peft
