#include "cli/method_comparison.h"

#include <ATen/ATen.h>
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "peft/base/process.h"
#include "peft/base/progress.h"
#include "peft/base/text.h"
#include "peft/causal_lm_task.h"
#include "peft/methods/p_tuning/config.h"
#include "peft/methods/prefix_tuning/config.h"
#include "peft/methods/prompt_tuning/config.h"
#include "peft/train/collate.h"

namespace peft::cli {

namespace {

const std::vector<std::string>& method_words() {
  static const std::vector<std::string> words = {"lora", "prefix_tuning", "p_tuning",
                                                 "prompt_tuning"};
  return words;
}

uint64_t size_of(const std::filesystem::path& folder) {
  std::error_code error;
  const auto size = std::filesystem::file_size(folder / "adapter_model.safetensors", error);
  return error ? 0 : size;
}

double answered_right(AdaptedModel& model, const std::vector<Question>& questions,
                      const Console& console) {
  if (questions.empty()) return 0;
  ProgressBar bar(console.talk, {.label = "answer",
                                 .total = static_cast<int64_t>(questions.size()),
                                 .unit = "row",
                                 .terminal = console.talk_terminal});
  return exact_match(questions, answer(model.language_model(), model.text(), questions,
                                       [&bar](int64_t done) { bar.set_done(done); }))
      .all;
}

}  // namespace

ComparedMethod compared_method(const std::string& name, int64_t virtual_tokens, int64_t lora_r,
                               const std::string& base_model) {
  const std::string task = "CAUSAL_LM";
  if (name == "lora") {
    const LoraOptions lora{.lora_r = lora_r,
                           .lora_alpha = 2.0 * static_cast<double>(lora_r),
                           .lora_dropout = 0,
                           .lora_target_modules = {"all-linear"}};
    return {name, lora.config(base_model), 5e-4};
  }
  if (name == "prefix_tuning") {
    return {name,
            PrefixTuningConfig{.task_type = task,
                               .base_model_name_or_path = base_model,
                               .num_virtual_tokens = virtual_tokens},
            1e-2};
  }
  if (name == "p_tuning") {
    return {name,
            PromptEncoderConfig{.task_type = task,
                                .base_model_name_or_path = base_model,
                                .num_virtual_tokens = virtual_tokens},
            1e-3};
  }
  if (name == "prompt_tuning") {
    return {name,
            PromptTuningConfig{.task_type = task,
                               .base_model_name_or_path = base_model,
                               .num_virtual_tokens = virtual_tokens},
            1e-2};
  }
  throw UsageError(fmt::format("--methods: expected some of {}, got '{}'.",
                               fmt::join(method_words(), ", "), name));
}

double mean_loss(LanguageModelImpl& model, const std::vector<train::Example>& rows,
                 int64_t pad_id) {
  constexpr size_t kRows = 4;
  const at::NoGradGuard no_grad;
  double sum = 0;
  int64_t counted = 0;
  for (size_t begin = 0; begin < rows.size(); begin += kRows) {
    std::vector<size_t> chosen(std::min(kRows, rows.size() - begin));
    std::iota(chosen.begin(), chosen.end(), begin);
    const train::Batch batch = train::collate(rows, chosen, pad_id);
    sum += model
               .loss_sum({.input_ids = batch.input_ids, .attention_mask = batch.attention_mask},
                         batch.labels)
               .item<double>();
    counted += batch.counted;
  }
  return counted == 0 ? 0 : sum / static_cast<double>(counted);
}

ComparedResult run_method(AdaptedModel& model, const ComparedMethod& method,
                          const train::TrainOptions& options, const ComparisonData& data,
                          const Console& console) {
  ComparedResult result{.name = method.name};
  reset_peak_rss();
  at::manual_seed(static_cast<uint64_t>(options.seed));
  model.put_adapter(method.config);
  result.trainable_params = model.peft().get_nb_trainable_parameters().trainable;
  TrainRun run{.options = options, .data = data.train};
  run.options.output_dir = (std::filesystem::path(options.output_dir) / method.name).string();
  run.options.learning_rate = method.learning_rate;
  run.adapter_dir = std::filesystem::path(run.options.output_dir) / "adapter";
  const auto folder = run.adapter_dir;
  CausalLMTask task(model.peft());
  const TrainOutcome outcome = run_training(std::move(run), task, console);
  result.train_seconds = outcome.result.seconds;
  result.losses = outcome.losses;
  result.file_bytes = size_of(folder);
  model.peft().eval();
  result.heldout_loss = mean_loss(model.language_model(), data.heldout, data.train.pad_id);
  result.exact_match = answered_right(model, data.questions, console);
  result.peak_rss = peak_rss_bytes();
  model.take_adapter_out();
  return result;
}

std::string comparison_table(const std::vector<ComparedResult>& results, double base_loss,
                             double base_exact_match) {
  constexpr const char* kRow = "  {:<15}{:>12}{:>12}{:>10}{:>12}{:>14}{:>14}\n";
  std::string table = fmt::format(kRow, "method", "parameters", "file", "training", "memory",
                                  "held-out loss", "exact match");
  const auto percent = [](double part) { return fmt::format("{:.1f} %", 100 * part); };
  table += fmt::format(kRow, "(base)", "", "", "", "", fmt::format("{:.4f}", base_loss),
                       percent(base_exact_match));
  for (const ComparedResult& result : results) {
    table += fmt::format(
        kRow, result.name, with_thousands(result.trainable_params), human_bytes(result.file_bytes),
        fmt::format("{:.0f} s", result.train_seconds), human_bytes(result.peak_rss),
        fmt::format("{:.4f}", result.heldout_loss), percent(result.exact_match));
  }
  return table;
}

Json comparison_json(const std::vector<ComparedResult>& results, double base_loss,
                     double base_exact_match) {
  Json methods = Json::array();
  for (const ComparedResult& result : results) {
    methods.push_back({{"method", result.name},
                       {"trainable_params", result.trainable_params},
                       {"file_bytes", result.file_bytes},
                       {"train_seconds", result.train_seconds},
                       {"peak_rss_mb", static_cast<double>(result.peak_rss) / 1e6},
                       {"heldout_loss", result.heldout_loss},
                       {"exact_match", result.exact_match}});
  }
  return {{"base", {{"heldout_loss", base_loss}, {"exact_match", base_exact_match}}},
          {"methods", methods}};
}

Figure comparison_figure(const std::vector<ComparedResult>& results) {
  Figure figure{.title = "Training loss by method", .x_label = "step", .y_label = "loss"};
  for (const ComparedResult& result : results) {
    Series series{.name = result.name, .y = smoothed(result.losses, 0.9)};
    for (size_t i = 0; i < series.y.size(); ++i) series.x.push_back(static_cast<double>(i + 1));
    figure.series.push_back(std::move(series));
  }
  return figure;
}

}  // namespace peft::cli
