#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/headed_base.h"
#include "cli/train_run.h"

namespace peft::cli {

/// What the training of a model with a head takes beside the flags of any training.
struct HeadedTraining {
  ModelOptions model = {};
  TaskKind kind = {};
  train::TaskColumns columns = {};
  std::string problem_type = {};  // empty: told by the labels
  std::filesystem::path train_file = {};
  std::optional<std::filesystem::path> valid_file = {};
  int64_t max_length = 512;
  std::optional<PeftConfig> config = {};  // of a new adapter; nullopt: go on with model.adapter
  bool gradient_checkpointing = false;
  TrainRun run = {};  // without data
};

/// Trains an adapter with the head beside it, and writes labels.json into the adapter's folder.
/// Throws: what reading rows, opening the model and the trainer throw.
TrainOutcome train_headed(HeadedTraining training, const Console& console);

}  // namespace peft::cli
