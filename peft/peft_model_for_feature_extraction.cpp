#include "peft/peft_model_for_feature_extraction.h"

#include "peft/base/warnings.h"

namespace peft {

EncoderOutput PeftModelForFeatureExtraction::forward(const EncoderInput& given,
                                                     const TaskCall& call) {
  const TaskScope scope(shared_tuner(), call.adapter_names, rows_of(given));
  EncoderInput input = given;
  if (tuner().active_prompt() != nullptr && input.token_type_ids.defined()) {
    warn(
        "Token type ids are not supported for parameter efficient tuning. Ignoring token type "
        "ids");
    input.token_type_ids.reset();
  }
  return model_->forward(prepare_task_inputs(tuner(), input, call).input);
}

}  // namespace peft
