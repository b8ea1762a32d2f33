#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "peft/train/options.h"
#include "peft/train/schedule.h"
#include "peft/train/state.h"
#include "peft/train/task.h"

namespace peft::train {

/// What one optimiser step was like, for progress displays.
struct StepReport {
  int64_t step = 0, max_steps = 0;  // step: done so far, this one included
  double loss = 0;                  // mean over the counted tokens of the step
  double grad_norm = 0;             // before clipping
  double learning_rate = 0;
  int64_t tokens = 0;  // without padding
  double seconds = 0;
};

/// Called by the trainer from the thread that trains. Empty ones are skipped.
struct TrainEvents {
  std::function<void(const TrainerState&)> on_begin = {};
  std::function<void(const StepReport&)> on_step = {};
  std::function<void(const Json& entry)> on_log = {};  // an entry of log_history
  std::function<void(const std::filesystem::path&)> on_save = {};
  /// Done batches of an evaluation, and all of them.
  std::function<void(int64_t done, int64_t total)> on_evaluate = {};
  /// Set from a signal handler or another thread: the run stops after the step that it is in.
  const std::atomic<int>* stop = nullptr;
};

struct TrainResult {
  TrainerState state = {};
  double train_loss = 0;  // mean over the steps
  double seconds = 0;     // this process alone
  int64_t tokens = 0;     // without padding, this process alone
  bool stopped = false;   // by TrainEvents::stop
  /// The checkpoint that a stopped run can be taken up from; empty where none is kept.
  std::filesystem::path stopped_at = {};
};

struct TrainData {
  std::vector<Example> train = {};
  std::vector<Example> valid = {};
  int64_t pad_id = 0;
};

/// The training loop. The loss of an optimiser step is the mean over the counted tokens of all its
/// batches, however unequal they are.
/// Source: Trainer in transformers/trainer.py (_inner_training_loop, _run_epoch,
/// _maybe_log_save_evaluate).
class Trainer {
 public:
  /// Throws: ConfigError (options; no row, or none from which anything is learnt; no parameter that
  /// learns).
  Trainer(TrainOptions options, TrainData data, TrainTask& task, TrainEvents events = {});

  /// Trains to the end. Checkpoints go to output_dir; the caller saves the final adapter and writes
  /// the state that this returns. Throws: Error where a loss or gradient is not finite, naming the
  /// step; IoError.
  TrainResult train();

  /// The mean loss over the validation rows: the mean of each batch, weighted by its rows, as
  /// Trainer.evaluation_loop computes it.  Throws: ConfigError where there are none.
  double evaluate();

 private:
  struct StepLoss {
    double loss = 0;
    int64_t tokens = 0;
  };
  void begin();
  void load_best();
  void run_epoch(int64_t epoch);
  StepLoss accumulate(const std::vector<std::vector<size_t>>& batches, size_t first, size_t count);
  void optimizer_step(const std::vector<std::vector<size_t>>& batches, size_t first, size_t count);
  void after_step(const StepReport& report);
  void end_of_epoch();
  void add_log(Json entry);
  void set_training(bool on);
  void log_evaluation();
  void save();
  void log_summary(TrainResult& result);
  bool due(const std::string& strategy, int64_t interval) const;
  bool stop_requested() const;
  bool finished() const;

  TrainOptions options_;
  TrainData data_;
  TrainTask& task_;
  TrainEvents events_;
  std::vector<size_t> lengths_;
  AdamW optimizer_;
  int64_t batches_per_epoch_ = 0, steps_per_epoch_ = 0;
  Schedule schedule_;
  TrainerState state_;
  int64_t saved_step_ = -1, evaluated_step_ = -1, tokens_ = 0;
  double started_ = 0;
  bool training_ = false;
};

}  // namespace peft::train
