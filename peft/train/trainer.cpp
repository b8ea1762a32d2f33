#include "peft/train/trainer.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "peft/base/error.h"
#include "peft/base/file.h"
#include "peft/base/warnings.h"
#include "peft/train/batch_order.h"
#include "peft/train/run_checkpoint.h"

namespace peft::train {

namespace {

double seconds_now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

std::vector<TrainParameter> checked_parameters(TrainTask& task) {
  auto parameters = task.parameters();
  if (parameters.empty()) {
    throw ConfigError(
        "training: no parameter requires a gradient: expected an adapter that learns. "
        "Load the adapter with is_trainable.");
  }
  return parameters;
}

int64_t total_steps(const TrainOptions& options, int64_t steps_per_epoch) {
  if (options.max_steps > 0) return options.max_steps;
  return static_cast<int64_t>(
      std::ceil(options.num_train_epochs * static_cast<double>(steps_per_epoch)));
}

/// Throws where a run of finite numbers has ended: going on would spoil the weights.
void check_finite(double value, std::string_view what, int64_t step) {
  if (std::isfinite(value)) return;
  throw Error(
      fmt::format("training: step {}: the {} is not finite: expected a number, got {}. "
                  "Lower learning_rate, look at the rows, or train in float32.",
                  step, what, value));
}

void check_data(const TrainOptions& options, const TrainData& data) {
  if (data.train.empty()) throw ConfigError("training: the training set is empty: expected rows.");
  const bool learns = std::any_of(data.train.begin(), data.train.end(),
                                  [](const Example& example) { return example.counted() > 0; });
  if (!learns) {
    throw ConfigError(
        "training: no row has a token that counts in the loss: expected labels other than -100 "
        "after the first token. Raise max_length where completions were cut off, or mend the "
        "labels.");
  }
  if (options.eval_strategy != "no" && data.valid.empty()) {
    throw ConfigError(
        "training: eval_strategy asks for an evaluation: expected a validation set, got "
        "none. Put valid.jsonl beside train.jsonl.");
  }
}

/// A run that begins anew leaves the checkpoints of an earlier one where they are.
void warn_of_earlier_checkpoints(const std::string& output_dir) {
  const auto found = whole_checkpoints(output_dir);
  if (found.empty()) return;
  warn(fmt::format(
      "{}: holds checkpoints of an earlier run, up to step {}: this run begins anew and "
      "writes among them. Go on with that run by resume_from_checkpoint, or name "
      "another folder.",
      output_dir, found.back().step));
}

double rounded(double value, double places) {
  const double scale = std::pow(10.0, places);
  return std::round(value * scale) / scale;
}

}  // namespace

Trainer::Trainer(TrainOptions options, TrainData data, TrainTask& task, TrainEvents events)
    : options_(std::move(options)),
      data_(std::move(data)),
      task_(task),
      events_(std::move(events)),
      optimizer_(checked_parameters(task), {.beta1 = options_.adam_beta1,
                                            .beta2 = options_.adam_beta2,
                                            .epsilon = options_.adam_epsilon,
                                            .weight_decay = options_.weight_decay}),
      schedule_(ScheduleKind::kConstant, 1, 0) {
  options_.validate();
  check_data(options_, data_);
  for (const Example& example : data_.train) lengths_.push_back(example.input_ids.size());
  batches_per_epoch_ =
      ceil_div(static_cast<int64_t>(lengths_.size()), options_.per_device_train_batch_size);
  steps_per_epoch_ = ceil_div(batches_per_epoch_, options_.gradient_accumulation_steps);
  if (options_.eval_steps == 0 && options_.eval_strategy == "steps") {
    options_.eval_steps = options_.logging_steps;
  }
  state_.max_steps = total_steps(options_, steps_per_epoch_);
  state_.num_train_epochs = ceil_div(state_.max_steps, steps_per_epoch_);
  state_.logging_steps = options_.logging_steps;
  if (options_.eval_steps > 0) state_.eval_steps = options_.eval_steps;
  state_.save_steps = options_.save_steps;
  state_.train_batch_size = options_.per_device_train_batch_size;
  schedule_ =
      Schedule(parse_schedule(options_.lr_scheduler_type), state_.max_steps, options_.warmup_steps);
}

TrainResult Trainer::train() {
  begin();
  const double before = state_.seconds_spent;
  if (events_.on_begin) events_.on_begin(state_);
  set_training(true);
  for (int64_t epoch = state_.global_step / steps_per_epoch_; !finished() && !stop_requested();
       ++epoch) {
    run_epoch(epoch);
  }
  TrainResult result{
      .seconds = seconds_now() - started_, .tokens = tokens_, .stopped = !finished()};
  state_.seconds_spent = before + result.seconds;
  if (result.stopped) {
    if (options_.save_strategy != "no") {
      save();
      result.stopped_at = std::filesystem::path(options_.output_dir) /
                          fmt::format("checkpoint-{}", state_.global_step);
    }
  } else {
    if (options_.load_best_model_at_end) load_best();
    log_summary(result);
  }
  set_training(false);
  result.state = state_;
  return result;
}

void Trainer::load_best() {
  if (state_.best_model_checkpoint) {
    task_.load_adapter(*state_.best_model_checkpoint);
  } else {
    warn(
        "load_best_model_at_end: no checkpoint was written at the step of the lowest eval_loss: "
        "the last weights are kept. Let save_steps equal eval_steps.");
  }
}

void Trainer::begin() {
  ensure_folder(options_.output_dir);
  // Not to be able to write is better known now than after hours of training.
  { const AtomicFile probe(std::filesystem::path(options_.output_dir) / "trainer_state.json"); }
  remove_abandoned_temporaries(options_.output_dir);
  const auto folder = find_checkpoint(options_.resume_from_checkpoint, options_.output_dir);
  if (folder) {
    const TrainerState fresh = state_;
    state_ = restore_run_checkpoint(*folder, options_, task_, optimizer_);
    state_.max_steps = fresh.max_steps;
    state_.num_train_epochs = fresh.num_train_epochs;
    state_.logging_steps = fresh.logging_steps;
    state_.eval_steps = fresh.eval_steps;
    state_.save_steps = fresh.save_steps;
    state_.train_batch_size = fresh.train_batch_size;
    saved_step_ = state_.global_step;
  } else if (options_.save_strategy != "no") {
    warn_of_earlier_checkpoints(options_.output_dir);
  }
  started_ = seconds_now();
}

void Trainer::run_epoch(int64_t epoch) {
  const auto batches = batches_of_epoch(lengths_,
                                        {.batch_size = options_.per_device_train_batch_size,
                                         .shuffle = options_.shuffle,
                                         .group_by_length = options_.group_by_length,
                                         .seed = static_cast<uint64_t>(options_.seed)},
                                        epoch);
  const auto total = static_cast<int64_t>(batches.size());
  const int64_t accumulation = options_.gradient_accumulation_steps;
  const int64_t steps_done = state_.global_step - epoch * steps_per_epoch_;
  for (int64_t first = steps_done * accumulation; first < total; first += accumulation) {
    if (stop_requested()) return;
    if (finished()) break;
    const int64_t count = std::min(accumulation, total - first);
    state_.epoch = static_cast<double>(epoch) +
                   static_cast<double>(first + count) / static_cast<double>(total);
    optimizer_step(batches, first, count);
  }
  end_of_epoch();
}

Trainer::StepLoss Trainer::accumulate(const std::vector<std::vector<size_t>>& batches, size_t first,
                                      size_t count) {
  std::vector<Batch> parts;
  int64_t counted = 0;
  for (size_t i = first; i < first + count; ++i) {
    parts.push_back(collate(data_.train, batches[i], data_.pad_id));
    counted += parts.back().counted;
  }
  StepLoss result;
  for (const Batch& batch : parts) {
    result.tokens += batch.tokens;
    if (batch.counted == 0) continue;
    const at::Tensor loss = task_.loss_sum(batch) / static_cast<double>(counted);
    const double value = loss.item<double>();
    check_finite(value, "loss", state_.global_step + 1);
    loss.backward();
    result.loss += value;
  }
  return result;
}

void Trainer::optimizer_step(const std::vector<std::vector<size_t>>& batches, size_t first,
                             size_t count) {
  const double begin = seconds_now();
  const StepLoss loss = accumulate(batches, first, count);
  StepReport report{.step = state_.global_step + 1,
                    .max_steps = state_.max_steps,
                    .loss = loss.loss,
                    .grad_norm = gradient_norm(optimizer_.parameters()),
                    .learning_rate = options_.learning_rate * schedule_.factor(state_.global_step),
                    .tokens = loss.tokens};
  check_finite(report.grad_norm, "gradient", report.step);
  if (options_.max_grad_norm > 0) {
    clip_gradients(optimizer_.parameters(), report.grad_norm, options_.max_grad_norm);
  }
  optimizer_.step(report.learning_rate);
  optimizer_.zero_grad();
  state_.global_step = report.step;
  state_.num_input_tokens_seen += loss.tokens;
  state_.loss_since_log += loss.loss;
  tokens_ += loss.tokens;
  report.seconds = seconds_now() - begin;
  after_step(report);
}

void Trainer::after_step(const StepReport& report) {
  if (events_.on_step) events_.on_step(report);
  const bool first = options_.logging_first_step && state_.global_step == 1;
  if (first || state_.global_step % options_.logging_steps == 0) {
    const auto steps = static_cast<double>(state_.global_step - state_.last_logged_step);
    add_log({{"loss", state_.loss_since_log / steps},
             {"grad_norm", report.grad_norm},
             {"learning_rate", report.learning_rate}});
    state_.total_loss += state_.loss_since_log;
    state_.loss_since_log = 0;
    state_.last_logged_step = state_.global_step;
  }
  // The last step is evaluated and saved whether or not its number asks for it.
  // Source: DefaultFlowCallback in transformers/trainer_callback.py.
  if (due(options_.eval_strategy, options_.eval_steps)) log_evaluation();
  if (due(options_.save_strategy, options_.save_steps)) save();
}

void Trainer::end_of_epoch() {
  if (options_.eval_strategy == "epoch") log_evaluation();
  if (options_.save_strategy == "epoch") save();
}

bool Trainer::due(const std::string& strategy, int64_t interval) const {
  return strategy == "steps" && (state_.global_step % interval == 0 || finished());
}

bool Trainer::stop_requested() const {
  return events_.stop != nullptr && events_.stop->load(std::memory_order_relaxed) != 0;
}

bool Trainer::finished() const { return state_.global_step >= state_.max_steps; }

void Trainer::add_log(Json entry) {
  entry["epoch"] = state_.epoch;
  entry["step"] = state_.global_step;
  state_.log_history.push_back(entry);
  if (events_.on_log) events_.on_log(entry);
}

double Trainer::evaluate() {
  if (data_.valid.empty()) {
    throw ConfigError(
        "evaluation: there is no validation set: expected rows. "
        "Put valid.jsonl beside train.jsonl.");
  }
  std::vector<size_t> lengths;
  for (const Example& example : data_.valid) lengths.push_back(example.input_ids.size());
  const auto batches = batches_of_epoch(
      lengths, {.batch_size = options_.per_device_eval_batch_size, .shuffle = false}, 0);
  const bool was_training = training_;
  set_training(false);
  task_.begin_evaluation();
  const at::NoGradGuard no_grad;
  double sum = 0;
  int64_t rows = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    const Batch batch = collate(data_.valid, batches[i], data_.pad_id);
    if (batch.counted > 0) {
      const double mean = task_.loss_sum(batch).item<double>() / static_cast<double>(batch.counted);
      sum += mean * static_cast<double>(batch.rows);
      rows += batch.rows;
    }
    if (events_.on_evaluate) {
      events_.on_evaluate(static_cast<int64_t>(i + 1), static_cast<int64_t>(batches.size()));
    }
  }
  set_training(was_training);
  return rows == 0 ? 0 : sum / static_cast<double>(rows);
}

void Trainer::set_training(bool on) {
  task_.set_training(on);
  training_ = on;
}

void Trainer::log_evaluation() {
  if (evaluated_step_ == state_.global_step) return;
  evaluated_step_ = state_.global_step;
  const double begin = seconds_now();
  const double loss = evaluate();
  const double seconds = std::max(seconds_now() - begin, 1e-9);
  const auto rows = static_cast<double>(data_.valid.size());
  const auto steps = std::ceil(rows / static_cast<double>(options_.per_device_eval_batch_size));
  Json entry = {{"eval_loss", loss},
                {"eval_runtime", rounded(seconds, 4)},
                {"eval_samples_per_second", rounded(rows / seconds, 3)},
                {"eval_steps_per_second", rounded(steps / seconds, 3)}};
  for (const auto& [name, value] : task_.metrics()) entry["eval_" + name] = value;
  add_log(std::move(entry));
  if (options_.load_best_model_at_end && (!state_.best_metric || loss < *state_.best_metric)) {
    state_.best_metric = loss;
    state_.best_global_step = state_.global_step;
  }
}

void Trainer::save() {
  if (saved_step_ == state_.global_step) return;
  const auto folder =
      std::filesystem::path(options_.output_dir) / fmt::format("checkpoint-{}", state_.global_step);
  if (state_.best_global_step == state_.global_step) state_.best_model_checkpoint = folder.string();
  TrainerState state = state_;
  state.seconds_spent += seconds_now() - started_;
  write_run_checkpoint(folder, {options_, state, optimizer_}, task_);
  saved_step_ = state_.global_step;
  delete_old_checkpoints(options_.output_dir, options_.save_total_limit,
                         state_.best_model_checkpoint);
  if (events_.on_save) events_.on_save(folder);
}

void Trainer::log_summary(TrainResult& result) {
  const double loss = state_.total_loss + state_.loss_since_log;
  result.train_loss = loss / static_cast<double>(std::max<int64_t>(state_.global_step, 1));
  const double seconds = std::max(result.seconds, 1e-9);
  const auto samples = static_cast<double>(
      options_.max_steps > 0 ? state_.max_steps * options_.per_device_train_batch_size *
                                   options_.gradient_accumulation_steps
                             : static_cast<int64_t>(static_cast<double>(data_.train.size()) *
                                                    options_.num_train_epochs));
  add_log({{"train_runtime", rounded(seconds, 4)},
           {"train_samples_per_second", rounded(samples / seconds, 3)},
           {"train_steps_per_second", rounded(static_cast<double>(state_.max_steps) / seconds, 3)},
           {"total_flos", 0.0},
           {"train_loss", result.train_loss}});
}

}  // namespace peft::train
