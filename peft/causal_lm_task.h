#pragma once

#include <string>

#include "peft/adapter_task.h"
#include "peft/peft_model_for_causal_lm.h"

namespace peft {

/// Trains an adapter of a language model: binds a PeftModelForCausalLM to train::Trainer.
class CausalLMTask final : public AdapterTask {
 public:
  /// `adapter` is the one that is saved and loaded; it has to be active and trainable.
  explicit CausalLMTask(PeftModelForCausalLM model, std::string adapter = "default");

  at::Tensor loss_sum(const train::Batch& batch) override;

 private:
  PeftModelForCausalLM model_;
};

}  // namespace peft
