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
  RowLengths lengths = {};
  int64_t tasks = 0;                      // see num_tasks
  std::optional<PeftConfig> config = {};  // of a new adapter; nullopt: go on with model.adapter
  bool gradient_checkpointing = false;
  TrainRun run = {};  // without data
};

/// The rows of a file, each with its task.
/// Throws: what read_task_rows throws; ConfigError naming the row, for a task that there is not.
std::vector<train::TaskRow> rows_for_training(const HeadedTraining& training,
                                              const std::filesystem::path& file, bool labelled);

/// Trains an adapter with the head beside it, and writes labels.json into the adapter's folder.
/// Throws: what reading rows, opening the model and the trainer throw.
TrainOutcome train_headed(HeadedTraining training, const Console& console);

}  // namespace peft::cli
