#include "cli/classify_quickstart.h"

#include <fmt/core.h>

#include "cli/headed_training.h"
#include "cli/lora_options.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/process.h"
#include "peft/base/text.h"

namespace peft::cli {

namespace {

constexpr int64_t kClassifyLength = 128;  // tokens of a text

using Labels = std::vector<std::string>;

std::vector<train::TaskRow> read_part(const ClassifyQuickstart& options, const char* part) {
  return train::read_task_rows(options.data / (std::string(part) + ".jsonl"),
                               train::RowTask::kSequenceClassification, {}, true);
}

/// The most probable label of each row.
Labels classify(HeadedBase& base, const std::vector<train::TaskRow>& rows) {
  constexpr size_t kRows = 16;
  const c10::InferenceMode inference;
  base.peft().eval();
  Labels labels;
  for (size_t begin = 0; begin < rows.size(); begin += kRows) {
    std::vector<TaskEncoding> batch;
    for (size_t i = begin; i < std::min(begin + kRows, rows.size()); ++i) {
      batch.push_back(base.encode(rows[i], {}, kClassifyLength).front());
    }
    const at::Tensor best = base.scores(batch).argmax(1);
    for (int64_t i = 0; i < best.size(0); ++i) {
      labels.push_back(base.labels().names.at(static_cast<size_t>(best[i].item<int64_t>())));
    }
  }
  return labels;
}

double accuracy(const std::vector<train::TaskRow>& rows, const Labels& labels) {
  int64_t right = 0;
  for (size_t i = 0; i < rows.size(); ++i) right += label_name(rows[i].label) == labels[i];
  return static_cast<double>(right) / static_cast<double>(rows.size());
}

void show_labels(const std::vector<train::TaskRow>& rows, const Labels& labels,
                 const Console& console) {
  const size_t step = std::max<size_t>(1, rows.size() / 3);
  for (size_t i = 0; i < rows.size() && i < 3 * step; i += step) {
    console.result("  " + fit_width(rows[i].text, 90));
    console.result(fmt::format("    expected  {}", label_name(rows[i].label)));
    console.result(fmt::format("    answered  {}\n", labels[i]));
  }
  console.out.flush();
}

LoraConfig adapter_of(const ClassifyQuickstart& options) {
  const LoraOptions lora{.lora_r = options.lora_r,
                         .lora_alpha = options.lora_alpha,
                         .lora_dropout = 0,
                         .lora_target_modules = {"all-linear"}};
  LoraConfig config = lora.config(options.model.string());
  config.task_type = "SEQ_CLS";
  return config;
}

TrainRun run_of(const ClassifyQuickstart& options, const std::vector<train::TaskRow>& rows,
                const HeadedBase& base) {
  TrainRun run{.options = {.output_dir = options.output_dir.string(),
                           .per_device_train_batch_size = options.per_device_train_batch_size,
                           .learning_rate = options.learning_rate,
                           .lr_scheduler_type = "cosine",
                           .warmup_steps = 0.05,
                           .num_train_epochs = options.num_train_epochs,
                           .max_steps = options.max_steps,
                           .seed = options.seed,
                           .save_strategy = "no"},
               .adapter_dir = options.output_dir / "adapter"};
  for (const train::TaskRow& row : rows) {
    run.data.train.push_back(base.encode(row, {}, kClassifyLength).front().example);
  }
  run.data.pad_id = base.text().pad_id();
  return run;
}

void write_labels(const std::filesystem::path& file, const std::vector<train::TaskRow>& rows,
                  const Labels& before, const Labels& after) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    text += dump_json({{"text", rows[i].text},
                       {"expected", label_name(rows[i].label)},
                       {"before", before[i]},
                       {"after", after[i]}},
                      {.indent = {}, .ensure_ascii = false, .final_newline = true});
  }
  write_file_atomically(file, text);
}

std::string share(double part) { return fmt::format("{:.1f} %", 100 * part); }

void say_how_to_load_it(const ClassifyQuickstart& options, size_t labels, const Console& console) {
  console.result("Load it in Python:\n");
  console.result(
      "  from transformers import AutoModelForSequenceClassification; from peft import PeftModel");
  console.result(fmt::format(
      "  base = AutoModelForSequenceClassification.from_pretrained(\"{}\", num_labels={})",
      options.model.string(), labels));
  console.result(fmt::format("  model = PeftModel.from_pretrained(base, \"{}\")",
                             (options.output_dir / "adapter").string()));
  console.out.flush();
}

}  // namespace

int quickstart_classification(const ClassifyQuickstart& options, Console& console) {
  const auto rows = read_part(options, "train"), heldout = read_part(options, "heldout");
  const LabelSet labels = find_labels(rows, train::RowTask::kSequenceClassification);
  at::manual_seed(static_cast<uint64_t>(options.seed));
  HeadedBase base(
      {.model_name_or_path = options.model, .dtype = options.dtype, .device = options.device},
      task_kind("SEQ_CLS"), labels);
  base.put_adapter(adapter_of(options));
  const auto [trainable, total] = base.peft().get_nb_trainable_parameters();

  console.headline("1. What the base model with a new head answers");
  const Labels before = classify(base, heldout);
  show_labels(heldout, before, console);
  console.result(fmt::format("accuracy before training: {} of {} classes\n",
                             share(accuracy(heldout, before)), labels.names.size()));

  console.headline(
      fmt::format("2. Training: LoRA, rank {}, and the head, {} of {} parameters, {} rows",
                  options.lora_r, with_thousands(trainable), with_thousands(total), rows.size()));
  HeadedTask task(base.model(), labels.names);
  const TrainOutcome outcome = run_training(run_of(options, rows, base), task, console);
  labels.save(options.output_dir / "adapter");
  if (outcome.exit_code != 0) return outcome.exit_code;

  console.headline("3. What the adapted model answers");
  const Labels after = classify(base, heldout);
  show_labels(heldout, after, console);
  console.result(fmt::format("accuracy after training: {}, trained in {:.0f} s\n",
                             share(accuracy(heldout, after)), outcome.result.seconds));
  write_labels(options.output_dir / "predictions.jsonl", heldout, before, after);
  const Json report = {{"accuracy_before", accuracy(heldout, before)},
                       {"accuracy_after", accuracy(heldout, after)},
                       {"train_seconds", outcome.result.seconds},
                       {"peak_rss_mb", static_cast<double>(peak_rss_bytes()) / 1e6},
                       {"trainable_params", trainable},
                       {"total_params", total}};
  write_file_atomically(options.output_dir / "report.json",
                        dump_json(report, {.final_newline = true}));
  console.result(fmt::format("Written to {}: adapter/, predictions.jsonl, loss.svg, report.json\n",
                             options.output_dir.string()));
  say_how_to_load_it(options, labels.names.size(), console);
  return 0;
}

}  // namespace peft::cli
