#include "peft/train/options.h"

#include <fmt/core.h>

#include <cmath>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/train/schedule.h"

namespace peft::train {

namespace {

void require(bool holds, std::string_view field, std::string_view expected,
             const std::string& got) {
  if (!holds) throw ConfigError(fmt::format("{}: expected {}, got {}.", field, expected, got));
}

void require_at_least(std::string_view field, int64_t value, int64_t least) {
  require(value >= least, field, fmt::format("at least {}", least), std::to_string(value));
}

/// A share or size that must not be negative, infinite or NaN.
void require_not_negative(std::string_view field, double value) {
  require(std::isfinite(value) && value >= 0, field, "a number of at least 0",
          fmt::format("{}", value));
}

void require_strategy(std::string_view field, const std::string& value) {
  require(value == "no" || value == "steps" || value == "epoch", field, "'no', 'steps' or 'epoch'",
          quote(value));
}

}  // namespace

void TrainOptions::validate() const {
  require(!output_dir.empty(), "output_dir", "a folder", "nothing");
  require_at_least("per_device_train_batch_size", per_device_train_batch_size, 1);
  require_at_least("per_device_eval_batch_size", per_device_eval_batch_size, 1);
  require_at_least("gradient_accumulation_steps", gradient_accumulation_steps, 1);
  require_at_least("logging_steps", logging_steps, 1);
  require_at_least("eval_steps", eval_steps, 0);
  require_at_least("save_steps", save_steps, 1);
  require_at_least("save_total_limit", save_total_limit, 0);
  require_not_negative("learning_rate", learning_rate);
  require_not_negative("warmup_steps", warmup_steps);
  require_not_negative("weight_decay", weight_decay);
  require_not_negative("adam_epsilon", adam_epsilon);
  require_not_negative("max_grad_norm", max_grad_norm);
  require_not_negative("num_train_epochs", num_train_epochs);
  for (const double beta : {adam_beta1, adam_beta2}) {
    require(beta >= 0 && beta < 1, "adam_beta1, adam_beta2", "numbers in [0, 1)",
            fmt::format("{}", beta));
  }
  require(max_steps > 0 || num_train_epochs > 0, "num_train_epochs",
          "more than 0, or max_steps more than 0", fmt::format("{}", num_train_epochs));
  require_strategy("eval_strategy", eval_strategy);
  require_strategy("save_strategy", save_strategy);
  parse_schedule(lr_scheduler_type);
  if (load_best_model_at_end) {
    require(eval_strategy != "no" && save_strategy == eval_strategy, "load_best_model_at_end",
            "save_strategy and eval_strategy to be the same and not 'no'",
            fmt::format("'{}' and '{}'", save_strategy, eval_strategy));
    // Source: TrainingArguments.__post_init__: else the best step may never be saved.
    const int64_t every = eval_steps > 0 ? eval_steps : logging_steps;
    require(eval_strategy != "steps" || save_steps % every == 0, "load_best_model_at_end",
            "save_steps to be a multiple of eval_steps",
            fmt::format("{} and {}", save_steps, every));
  }
}

}  // namespace peft::train
