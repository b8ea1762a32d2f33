#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/console.h"

namespace peft::cli {

/// How the quickstart of text classification runs.
struct ClassifyQuickstart {
  std::filesystem::path model = {}, data = {}, output_dir = {};
  std::string dtype = "auto", device = "auto";
  double learning_rate = 2e-3;
  int64_t per_device_train_batch_size = 16;
  double num_train_epochs = 3;
  int64_t max_steps = -1;
  int64_t lora_r = 16;
  double lora_alpha = 32;
  int64_t seed = 42;
};

/// Shows it all on texts of a few classes: the guesses of a model whose head is new, LoRA training
/// with the head, the labels after it, a report. Returns the exit code.
int quickstart_classification(const ClassifyQuickstart& options, Console& console);

}  // namespace peft::cli
