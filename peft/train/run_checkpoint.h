#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "peft/train/options.h"
#include "peft/train/state.h"
#include "peft/train/task.h"

namespace peft::train {

/// What a checkpoint-<step> folder holds besides the adapter's own files: optimizer.safetensors and
/// optimizer.json, scheduler.json, rng_state.json, trainer_state.json, training_args.json.
struct RunCheckpoint {
  const TrainOptions& options;
  const TrainerState& state;
  const AdamW& optimizer;
};

/// Writes `folder` in one step: it appears whole or not at all.  Throws: IoError.
void write_run_checkpoint(const std::filesystem::path& folder, const RunCheckpoint& checkpoint,
                          TrainTask& task);

/// Takes a run up where a checkpoint left it: parameters, optimiser, generator of random numbers.
/// Settings that differ from the checkpoint's are warned of.
/// Throws: NotFoundError, FormatError, MismatchError.
TrainerState restore_run_checkpoint(const std::filesystem::path& folder,
                                    const TrainOptions& options, TrainTask& task, AdamW& optimizer);

/// One checkpoint-<step> folder of a run.
struct CheckpointFolder {
  int64_t step = 0;
  std::filesystem::path path = {};
};

/// The whole checkpoints in a folder by rising step. Incomplete ones are left out.
std::vector<CheckpointFolder> whole_checkpoints(const std::filesystem::path& output_dir);

/// What `resume_from_checkpoint` means: nothing, the newest whole checkpoint of `output_dir`, or a
/// folder.  Throws: NotFoundError where there is none.
std::optional<std::filesystem::path> find_checkpoint(const std::string& resume_from_checkpoint,
                                                     const std::filesystem::path& output_dir);

/// Deletes the checkpoints beyond `limit` (0: none) that were written first, never `best` nor the
/// one that was written last. Source: rotate_checkpoints in transformers/trainer_utils.py.
void delete_old_checkpoints(const std::filesystem::path& output_dir, int64_t limit,
                            const std::optional<std::string>& best);

}  // namespace peft::train
