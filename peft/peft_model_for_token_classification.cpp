#include "peft/peft_model_for_token_classification.h"

#include <ATen/ATen.h>

#include "peft/models/common/task_losses.h"

namespace peft {

at::Tensor PeftModelForTokenClassification::forward(const EncoderInput& input,
                                                    const TaskCall& call) {
  const TaskScope scope(shared_tuner(), call.adapter_names, rows_of(input));
  return model_->forward(prepare_task_inputs(tuner(), input, call).input);
}

at::Tensor PeftModelForTokenClassification::loss(const EncoderInput& input,
                                                 const at::Tensor& labels, const TaskCall& call) {
  const at::Tensor logits = forward(input, call);
  const int64_t prompt = tuner().method().prompt_is_cache ? 0 : active_virtual_tokens(tuner());
  if (prompt == 0 || !labels.defined() || labels.dim() != 2) {
    return token_classification_loss(logits, labels);
  }
  const at::Tensor none = at::full({labels.size(0), prompt}, -100, labels.options());
  return token_classification_loss(logits, at::cat({none, labels}, 1));
}

}  // namespace peft
