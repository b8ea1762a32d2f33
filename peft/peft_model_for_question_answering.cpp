#include "peft/peft_model_for_question_answering.h"

#include "peft/base/warnings.h"
#include "peft/models/common/task_losses.h"

namespace peft {

// Python's class takes token types and positions and passes neither on.
at::Tensor PeftModelForQuestionAnswering::forward(const EncoderInput& given, const TaskCall& call) {
  const TaskScope scope(shared_tuner(), call.adapter_names, rows_of(given));
  EncoderInput input = given;
  if (input.token_type_ids.defined() || input.position_ids.defined()) {
    warn(
        "question answering: token types and positions are not passed on to the model, as in "
        "Python PEFT.");
  }
  input.token_type_ids.reset();
  input.position_ids.reset();
  return model_->forward(put_prompt(tuner(), input, call.task_ids).input);
}

at::Tensor PeftModelForQuestionAnswering::loss(const EncoderInput& input, const at::Tensor& start,
                                               const at::Tensor& end, const TaskCall& call) {
  return question_answering_loss(forward(input, call), start, end);
}

}  // namespace peft
