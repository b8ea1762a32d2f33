#pragma once

#include <filesystem>
#include <vector>

#include "cli/console.h"
#include "peft/peft_model.h"
#include "peft/train/trainer.h"

namespace peft::cli {

/// A training run as the terminal sees it.
struct TrainRun {
  train::TrainOptions options = {};
  train::TrainData data = {};
  std::filesystem::path adapter_dir = {};  // for the final adapter
  bool json_log = false;                   // each log entry as a JSON line on stdout
};

struct TrainOutcome {
  train::TrainResult result = {};
  std::vector<double> losses = {};  // of each step of this process
  int exit_code = 0;                // 128 + signal where one stopped the run
};

/// Tells people what is going to be trained. `rows`: "12 rows".
void say_what_is_trained(const std::string& rows, const PeftModel& model, const Console& console);

/// Trains with a live progress bar; Ctrl-C and SIGTERM save and stop. Then writes the adapter to
/// adapter_dir, trainer_state.json and loss.svg to output_dir, and draws the loss in the terminal.
TrainOutcome run_training(TrainRun run, train::TrainTask& task, const Console& console);

}  // namespace peft::cli
