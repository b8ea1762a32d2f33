#include "cli/train_run.h"

#include <ATen/Parallel.h>
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "cli/signals.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/plot.h"
#include "peft/base/process.h"
#include "peft/base/progress.h"
#include "peft/base/text.h"

namespace peft::cli {

namespace {

/// The loss of an evaluation and what its task measured, without the time that it took.
std::string figures_of(const Json& entry) {
  std::string text;
  for (const auto& [name, value] : entry.items()) {
    const bool timing = name == "eval_runtime" || name.ends_with("_per_second");
    if (!name.starts_with("eval_") || timing || !value.is_number()) continue;
    text += fmt::format(" {} {:.4f}", name, value.get<double>());
  }
  return text;
}

/// Shows a run: bar, log lines, and the losses for the curve.
class Display {
 public:
  Display(const TrainRun& run, const Console& console)
      : json_log_(run.json_log), console_(console) {}

  train::TrainEvents events(const std::atomic<int>& stop) {
    return {
        .on_begin = [this](const train::TrainerState& state) { begin(state); },
        .on_step = [this](const train::StepReport& report) { step(report); },
        .on_log = [this](const Json& entry) { log(entry); },
        .on_save = [this](const std::filesystem::path& path) { line("saved " + path.string()); },
        .on_evaluate = [this](int64_t done, int64_t total) { evaluate(done, total); },
        .stop = &stop};
  }

  void finish() {
    if (bar_) bar_->finish();
  }

  const std::vector<double>& losses() const { return losses_; }
  int64_t first_step() const { return first_step_; }

 private:
  void begin(const train::TrainerState& state) {
    first_step_ = state.global_step;
    bar_ = std::make_unique<ProgressBar>(console_.talk,
                                         ProgressOptions{.label = "train",
                                                         .total = state.max_steps,
                                                         .initial = state.global_step,
                                                         .unit = "step",
                                                         .show_rate = false,
                                                         .terminal = console_.talk_terminal});
    if (state.global_step > 0) line(fmt::format("resumed after step {}", state.global_step));
  }

  void step(const train::StepReport& report) {
    losses_.push_back(report.loss);
    tokens_ += report.tokens;
    seconds_ += report.seconds;
    bar_->set_postfix("loss", fmt::format("{:.3f}", report.loss));
    bar_->set_postfix("tok/s", fmt::format("{:.0f}", static_cast<double>(tokens_) / seconds_));
    bar_->set_postfix("mem", human_bytes(peak_rss_bytes()));
    bar_->set_done(report.step);
  }

  void log(const Json& entry) {
    if (json_log_) {
      console_.result(dump_json(entry, {.indent = {}}));
      console_.out.flush();
    }
    if (entry.contains("eval_loss")) {
      line(fmt::format("step {}:{}", entry["step"].get<int64_t>(), figures_of(entry)));
    }
  }

  void evaluate(int64_t done, int64_t total) {
    bar_->set_postfix("eval", done < total ? fmt::format("{}/{}", done, total) : "");
    bar_->advance(0);
  }

  void line(const std::string& text) { bar_->write_line(text); }

  bool json_log_;
  const Console& console_;
  std::unique_ptr<ProgressBar> bar_;
  std::vector<double> losses_;
  int64_t first_step_ = 0, tokens_ = 0;
  double seconds_ = 0;
};

/// Losses of every step where this process saw the whole run, else those of the log.
Series loss_series(const Display& display, const train::TrainerState& state) {
  Series series{.name = "loss"};
  if (display.first_step() == 0) {
    for (size_t i = 0; i < display.losses().size(); ++i) {
      series.x.push_back(static_cast<double>(i + 1));
      series.y.push_back(display.losses()[i]);
    }
  } else {
    for (const Json& entry : state.log_history) {
      if (!entry.contains("loss")) continue;
      series.x.push_back(entry["step"].get<double>());
      series.y.push_back(entry["loss"].get<double>());
    }
  }
  if (series.y.size() > 30) series.smoothing = 0.8;
  return series;
}

Figure loss_figure(const Display& display, const train::TrainerState& state) {
  Figure figure{.title = "Training loss", .x_label = "step", .y_label = "loss"};
  figure.series.push_back(loss_series(display, state));
  Series valid{.name = "eval_loss"};
  for (const Json& entry : state.log_history) {
    if (!entry.contains("eval_loss")) continue;
    valid.x.push_back(entry["step"].get<double>());
    valid.y.push_back(entry["eval_loss"].get<double>());
  }
  if (!valid.x.empty()) figure.series.push_back(std::move(valid));
  return figure;
}

void draw(const Figure& figure, const std::filesystem::path& folder, const Console& console) {
  write_file_atomically(folder / "loss.svg", plot_svg(figure));
  if (figure.series.front().x.size() < 2) return;  // a line needs two points
  const int width = std::min(console.talk_terminal.current_width(), 100);
  console.talk << plot_text(figure, {.width = width, .terminal = console.talk_terminal});
}

void say_stopped(const train::TrainResult& result, const Console& console) {
  if (result.stopped_at.empty()) {
    console.say(fmt::format("stopped after step {}", result.state.global_step));
    return;
  }
  console.say(fmt::format("stopped after step {}; go on with --resume_from_checkpoint true",
                          result.state.global_step));
}

}  // namespace

void say_what_is_trained(const std::string& rows, const PeftModel& model, const Console& console) {
  const auto counts = model.get_nb_trainable_parameters();
  console.say(fmt::format("{}, {} trainable of {} parameters, {} threads", rows,
                          with_thousands(counts.trainable), with_thousands(counts.all),
                          at::get_num_threads()));
}

TrainOutcome run_training(TrainRun run, train::TrainTask& task, const Console& console) {
  const StopSignals signals;
  Display display(run, console);
  const std::filesystem::path output_dir = run.options.output_dir;
  train::Trainer trainer(run.options, std::move(run.data), task,
                         display.events(signals.received()));
  TrainOutcome outcome{.result = trainer.train()};
  display.finish();
  outcome.losses = display.losses();

  ensure_folder(run.adapter_dir);
  task.save_adapter(run.adapter_dir);
  write_file_atomically(output_dir / "trainer_state.json",
                        train::trainer_state_text(outcome.result.state));
  if (outcome.result.stopped) {
    say_stopped(outcome.result, console);
    outcome.exit_code = 128 + signals.received().load();
    return outcome;
  }
  if (!outcome.losses.empty()) {
    draw(loss_figure(display, outcome.result.state), output_dir, console);
  }
  return outcome;
}

}  // namespace peft::cli
