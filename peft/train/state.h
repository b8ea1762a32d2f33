#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "peft/base/json.h"

namespace peft::train {

/// Where a run stands, written as trainer_state.json in the Trainer's shape.
/// Source: TrainerState in transformers/trainer_callback.py.
struct TrainerState {
  double epoch = 0;
  int64_t global_step = 0;
  int64_t max_steps = 0;
  int64_t num_train_epochs = 0;
  int64_t logging_steps = 10;
  int64_t eval_steps = 500;
  int64_t save_steps = 500;
  int64_t train_batch_size = 8;
  int64_t num_input_tokens_seen = 0;
  std::optional<double> best_metric = {};
  std::optional<int64_t> best_global_step = {};
  std::optional<std::string> best_model_checkpoint = {};
  Json log_history = Json::array();  // {"loss", "grad_norm", "learning_rate", "epoch", "step"}, ...

  // Kept among the Trainer's "stateful_callbacks", so that Python reads the file and a run that is
  // taken up again logs what it would have logged.
  double loss_since_log = 0;  // sum over the steps since the last entry of the log
  int64_t last_logged_step = 0;
  double total_loss = 0;     // sum over the steps that were logged
  double seconds_spent = 0;  // before this process began
};

Json to_json(const TrainerState& state);

/// Throws: FormatError that begins with `where`.
TrainerState trainer_state_from_json(const Json& json, const std::string& where);

/// The text of trainer_state.json: sorted keys, two blanks of indent, a final line end.
std::string trainer_state_text(const TrainerState& state);

}  // namespace peft::train
