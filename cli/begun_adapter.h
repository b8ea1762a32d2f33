#pragma once

#include "cli/adapted_model.h"
#include "cli/console.h"
#include "peft/methods/lora/config.h"
#include "peft/train/trainer.h"

namespace peft::cli {

/// What a new adapter may begin with.
struct Beginnings {
  const train::TrainData& data;
  const train::TrainOptions& options;
};

/// Puts a new adapter on the base, begun as its init_lora_weights says; EVA, CorDA and LoRA-GA look
/// at the training rows for that. Where it is a word, the adapter's first values are kept in
/// `<output_dir>/initial`, which peft convert needs.
void begin_adapter(AdaptedModel& model, LoraConfig config, const Beginnings& beginnings,
                   const Console& console);

}  // namespace peft::cli
