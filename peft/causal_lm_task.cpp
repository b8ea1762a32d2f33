#include "peft/causal_lm_task.h"

namespace peft {

CausalLMTask::CausalLMTask(PeftModelForCausalLM model, std::string adapter)
    : AdapterTask(model, std::move(adapter)), model_(std::move(model)) {}

at::Tensor CausalLMTask::loss_sum(const train::Batch& batch) {
  return model_.loss_sum({.input_ids = batch.input_ids, .attention_mask = batch.attention_mask},
                         batch.labels, {.task_ids = batch.task_ids});
}

}  // namespace peft
