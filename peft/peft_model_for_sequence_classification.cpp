#include "peft/peft_model_for_sequence_classification.h"

#include "peft/models/common/task_losses.h"

namespace peft {

at::Tensor PeftModelForSequenceClassification::forward(const EncoderInput& input,
                                                       const TaskCall& call) {
  const TaskScope scope(shared_tuner(), call.adapter_names, rows_of(input));
  return model_->forward(prepare_task_inputs(tuner(), input, call).input);
}

at::Tensor PeftModelForSequenceClassification::loss(const EncoderInput& input,
                                                    const at::Tensor& labels,
                                                    const TaskCall& call) {
  return sequence_classification_loss(forward(input, call), labels, model_->config());
}

}  // namespace peft
