#include <fmt/core.h>

#include <cmath>
#include <optional>

#include "cli/adapted_model.h"
#include "cli/classify_quickstart.h"
#include "cli/commands.h"
#include "cli/exact_match.h"
#include "cli/lora_options.h"
#include "cli/train_run.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/process.h"
#include "peft/base/progress.h"
#include "peft/base/text.h"
#include "peft/causal_lm_task.h"
#include "peft/train/example.h"

namespace peft::cli {

namespace {

struct QuickstartOptions {
  std::string task = "generate";
  std::filesystem::path model = {};
  std::filesystem::path data = "";
  std::filesystem::path output_dir = "";
  std::string dtype = "auto";
  std::string device = "auto";
  std::optional<double> learning_rate = {};
  std::optional<int64_t> per_device_train_batch_size = {};
  std::optional<double> num_train_epochs = {};
  int64_t max_steps = -1;
  int64_t lora_r = 16;
  double lora_alpha = 32;
  int64_t seed = 42;

  static void fields(auto& self, auto&& field) {
    field(
        "task", self.task,
        "generate: answer sentences with JSON, by a language model; classify: sort sentences into "
        "classes, by an encoder.");
    field("model", self.model, "Checkpoint folder or .gguf file.", Required{});
    field("data", self.data,
          "Folder with train.jsonl and heldout.jsonl; default: data/quickstart or data/classify.");
    field("output_dir", self.output_dir,
          "Folder for the adapter, the answers and the report; default: runs/quickstart or "
          "runs/quickstart-classify.");
    field("dtype", self.dtype, "Type of the base's weights: auto, float32 or bfloat16.");
    field("device", self.device, "What computes: auto, cpu, cuda or cuda:1.");
    field("learning_rate", self.learning_rate,
          "Highest learning rate; default: 5e-4, to classify 2e-3.");
    field("per_device_train_batch_size", self.per_device_train_batch_size,
          "Rows in a batch; default: 1, to classify 16.");
    field("num_train_epochs", self.num_train_epochs,
          "Passes over the data; default: 0.5, to classify 3.");
    field("max_steps", self.max_steps, "Optimiser steps; overrides the passes where above 0.");
    field("lora_r", self.lora_r, "Rank of the update matrices.");
    field("lora_alpha", self.lora_alpha, "Numerator of the scaling factor.");
    field("seed", self.seed, "Seed of the initial weights and the order of rows.");
  }

  /// What was not said is filled in.
  QuickstartOptions completed() const {
    QuickstartOptions all = *this;
    const bool classify = task == "classify";
    if (all.data.empty()) all.data = classify ? "data/classify" : "data/quickstart";
    if (all.output_dir.empty()) {
      all.output_dir = classify ? "runs/quickstart-classify" : "runs/quickstart";
    }
    if (!all.learning_rate) all.learning_rate = classify ? 2e-3 : 5e-4;
    if (!all.per_device_train_batch_size) all.per_device_train_batch_size = classify ? 16 : 1;
    if (!all.num_train_epochs) all.num_train_epochs = classify ? 3 : 0.5;
    return all;
  }
};

using Answers = std::vector<std::string>;

/// Three questions to show: the first and one more of the known patterns, and one of the new ones.
std::vector<size_t> shown_questions(const std::vector<Question>& questions) {
  std::vector<size_t> known, fresh;
  for (size_t i = 0; i < questions.size(); ++i) {
    (questions[i].pattern.starts_with("new") ? fresh : known).push_back(i);
  }
  std::vector<size_t> shown;
  if (!known.empty()) shown.push_back(known.front());
  if (known.size() > 1) shown.push_back(known[known.size() / 2]);
  if (!fresh.empty()) shown.push_back(fresh.front());
  return shown;
}

void show_answers(const std::vector<Question>& questions, const Answers& answers,
                  const Console& console) {
  for (const size_t i : shown_questions(questions)) {
    const std::string given = fit_width(join(split(answers[i], '\n'), " / "), 82);
    console.result("  " + join(split(std::string(trim(questions[i].prompt)), '\n'), " "));
    console.result(fmt::format("    expected  {}", trim(questions[i].expected)));
    console.result(fmt::format("    answered  {}\n", given));
  }
  console.out.flush();
}

Answers ask(const AdaptedModel& model, const std::vector<Question>& questions,
            const Console& console) {
  ProgressBar bar(console.talk, {.label = "answer",
                                 .total = static_cast<int64_t>(questions.size()),
                                 .unit = "row",
                                 .terminal = console.talk_terminal});
  return answer(model.language_model(), model.text(), questions,
                [&bar](int64_t done) { bar.set_done(done); });
}

TrainRun training_of(const QuickstartOptions& options, const AdaptedModel& model) {
  TrainRun run{.options = {.output_dir = options.output_dir.string(),
                           .per_device_train_batch_size = *options.per_device_train_batch_size,
                           .learning_rate = *options.learning_rate,
                           .lr_scheduler_type = "cosine",
                           .warmup_steps = 0.05,
                           .num_train_epochs = *options.num_train_epochs,
                           .max_steps = options.max_steps,
                           .seed = options.seed,
                           .save_strategy = "no"},
               .adapter_dir = options.output_dir / "adapter"};
  run.data.train = train::make_examples(train::read_rows(options.data / "train.jsonl"),
                                        model.text_or_null(), {});
  run.data.pad_id = model.text().pad_id();
  return run;
}

/// How many rows the training is going to read, some of them again where it makes several passes.
int64_t rows_to_read(const QuickstartOptions& options, size_t rows) {
  if (options.max_steps > 0) return options.max_steps * *options.per_device_train_batch_size;
  return static_cast<int64_t>(std::ceil(*options.num_train_epochs * static_cast<double>(rows)));
}

void write_predictions(const std::filesystem::path& file, const std::vector<Question>& questions,
                       const Answers& before, const Answers& after) {
  std::string text;
  for (size_t i = 0; i < questions.size(); ++i) {
    text += dump_json({{"prompt", questions[i].prompt},
                       {"expected", questions[i].expected},
                       {"before", before[i]},
                       {"after", after[i]}},
                      {.indent = {}, .ensure_ascii = false, .final_newline = true});
  }
  write_file_atomically(file, text);
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

void say_how_to_load(const QuickstartOptions& options, const Console& console) {
  const bool gguf = options.model.extension() == ".gguf";
  const auto folder = gguf ? options.model.parent_path() : options.model;
  const std::string file =
      gguf ? fmt::format(", gguf_file=\"{}\"", options.model.filename().string()) : "";
  console.result("Load it in Python:\n");
  console.result("  from transformers import AutoModelForCausalLM; from peft import PeftModel");
  console.result(fmt::format("  base = AutoModelForCausalLM.from_pretrained(\"{}\"{})",
                             folder.string(), file));
  console.result(fmt::format("  model = PeftModel.from_pretrained(base, \"{}\")",
                             (options.output_dir / "adapter").string()));
  console.out.flush();
}

int classify(const QuickstartOptions& options, Console& console) {
  return quickstart_classification(
      {.model = options.model,
       .data = options.data,
       .output_dir = options.output_dir,
       .dtype = options.dtype,
       .device = options.device,
       .learning_rate = *options.learning_rate,
       .per_device_train_batch_size = *options.per_device_train_batch_size,
       .num_train_epochs = *options.num_train_epochs,
       .max_steps = options.max_steps,
       .lora_r = options.lora_r,
       .lora_alpha = options.lora_alpha,
       .seed = options.seed},
      console);
}

int quickstart(const QuickstartOptions& given, Console& console) {
  const QuickstartOptions options = given.completed();
  if (options.task == "classify") return classify(options, console);
  if (options.task != "generate") {
    throw UsageError(fmt::format("--task: expected generate or classify, got '{}'.", options.task));
  }
  const auto questions = read_questions(options.data / "heldout.jsonl");
  const LoraOptions lora{.lora_r = options.lora_r,
                         .lora_alpha = options.lora_alpha,
                         .lora_dropout = 0,
                         .lora_target_modules = {"all-linear"}};
  AdaptedModel model = AdaptedModel::open_base(
      {.model_name_or_path = options.model, .dtype = options.dtype, .device = options.device});
  at::manual_seed(static_cast<uint64_t>(options.seed));
  model.put_adapter(lora.config(options.model.string()));
  TrainRun run = training_of(options, model);
  const auto [trainable, total] = model.peft().get_nb_trainable_parameters();

  console.headline("1. What the base model answers");
  const Answers before = ask(model, questions, console);
  const ExactMatch score_before = exact_match(questions, before);
  show_answers(questions, before, console);
  console.result(fmt::format("exact match before training: {}\n", percent(score_before.all)));

  console.headline(fmt::format("2. Training: LoRA, rank {}, {} of {} parameters, {} rows",
                               options.lora_r, with_thousands(trainable), with_thousands(total),
                               rows_to_read(options, run.data.train.size())));
  CausalLMTask task(model.peft());
  const TrainOutcome outcome = run_training(std::move(run), task, console);
  if (outcome.exit_code != 0) return outcome.exit_code;
  const double seconds = outcome.result.seconds;
  const double tokens_per_second = static_cast<double>(outcome.result.tokens) / seconds;

  console.headline("3. What the adapted model answers");
  const Answers after = ask(model, questions, console);
  const ExactMatch score_after = exact_match(questions, after);
  show_answers(questions, after, console);
  console.result(
      fmt::format("exact match after training: {} ({} on known patterns, {} on new ones), trained "
                  "in {:.0f} s\n",
                  percent(score_after.all), percent(score_after.known_patterns),
                  percent(score_after.new_patterns), seconds));

  write_predictions(options.output_dir / "predictions.jsonl", questions, before, after);
  const Json report = {{"exact_match_before", score_before.all},
                       {"exact_match_after", score_after.known_patterns},
                       {"exact_match_after_new_patterns", score_after.new_patterns},
                       {"exact_match_after_all", score_after.all},
                       {"train_seconds", seconds},
                       {"tokens_per_second", tokens_per_second},
                       {"peak_rss_mb", static_cast<double>(peak_rss_bytes()) / 1e6},
                       {"trainable_params", trainable},
                       {"total_params", total}};
  write_file_atomically(options.output_dir / "report.json",
                        dump_json(report, {.indent = 2, .final_newline = true}));
  console.result(fmt::format("Written to {}: adapter/, predictions.jsonl, loss.svg, report.json\n",
                             options.output_dir.string()));
  say_how_to_load(options, console);
  return kOk;
}

}  // namespace

Command quickstart_command() {
  return command<QuickstartOptions>(
      "quickstart", "Show it all: answers before, LoRA training, answers after, a report.",
      "--model M [--data DIR --output_dir OUT]", quickstart);
}

}  // namespace peft::cli
