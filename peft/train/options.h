#pragma once

#include <cstdint>
#include <string>

namespace peft::train {

/// How to train. Names and meanings are those of transformers' TrainingArguments, defaults those of
/// TRL's SFTConfig but for learning_rate and gradient checkpointing.
struct TrainOptions {
  std::string output_dir = "";
  int64_t per_device_train_batch_size = 8;
  int64_t per_device_eval_batch_size = 8;
  int64_t gradient_accumulation_steps = 1;
  double learning_rate = 2e-4;
  std::string lr_scheduler_type = "linear";
  double warmup_steps = 0;
  double weight_decay = 0;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;
  double num_train_epochs = 3;
  int64_t max_steps = -1;
  bool shuffle = true;
  bool group_by_length = true;
  int64_t seed = 42;
  int64_t logging_steps = 10;
  bool logging_first_step = false;
  std::string eval_strategy = "no";
  int64_t eval_steps = 0;
  std::string save_strategy = "steps";
  int64_t save_steps = 500;
  int64_t save_total_limit = 0;
  bool load_best_model_at_end = false;
  std::string resume_from_checkpoint = "";

  static void fields(auto& self, auto&& field) {
    field("output_dir", self.output_dir,
          "Folder for the adapter, checkpoints and trainer_state.json.");
    field("per_device_train_batch_size", self.per_device_train_batch_size, "Rows in a batch.");
    field("per_device_eval_batch_size", self.per_device_eval_batch_size,
          "Rows in a batch of the evaluation.");
    field("gradient_accumulation_steps", self.gradient_accumulation_steps,
          "Batches that make up one optimiser step.");
    field("learning_rate", self.learning_rate, "Highest learning rate of AdamW.");
    field("lr_scheduler_type", self.lr_scheduler_type,
          "constant, constant_with_warmup, linear or cosine.");
    field("warmup_steps", self.warmup_steps,
          "Steps in which the learning rate rises from zero; below 1 a share of all steps.");
    field("weight_decay", self.weight_decay, "Weight decay, not applied to biases and norms.");
    field("adam_beta1", self.adam_beta1, "Decay of the mean of gradients.");
    field("adam_beta2", self.adam_beta2, "Decay of the mean of squared gradients.");
    field("adam_epsilon", self.adam_epsilon, "Added to the denominator of AdamW.");
    field("max_grad_norm", self.max_grad_norm, "Gradients are scaled down to this norm; 0: never.");
    field("num_train_epochs", self.num_train_epochs, "Passes over the data.");
    field("max_steps", self.max_steps, "Optimiser steps; overrides the passes where above 0.");
    field("shuffle", self.shuffle, "false: keep the file's order exactly, batch after batch.");
    field("group_by_length", self.group_by_length,
          "Put rows of like length into one batch (with shuffle).");
    field("seed", self.seed, "Seed of the initial weights, the order of rows and dropout.");
    field("logging_steps", self.logging_steps, "Steps between two entries of the log.");
    field("logging_first_step", self.logging_first_step, "Log the first step, too.");
    field("eval_strategy", self.eval_strategy, "When to evaluate: no, steps or epoch.");
    field("eval_steps", self.eval_steps, "Steps between evaluations; 0: as logging_steps.");
    field("save_strategy", self.save_strategy, "When to write checkpoints: no, steps or epoch.");
    field("save_steps", self.save_steps, "Steps between checkpoints.");
    field("save_total_limit", self.save_total_limit,
          "Older checkpoints beyond this number are deleted; 0: none is.");
    field("load_best_model_at_end", self.load_best_model_at_end,
          "End with the checkpoint of the lowest eval_loss.");
    field("resume_from_checkpoint", self.resume_from_checkpoint,
          "true: the newest whole checkpoint in output_dir; or the path of one.");
  }

  /// Throws: ConfigError naming field, value and what is allowed.
  void validate() const;
};

}  // namespace peft::train
