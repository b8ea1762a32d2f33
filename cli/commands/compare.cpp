#include <fmt/core.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/method_comparison.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"
#include "peft/train/example.h"

namespace peft::cli {

namespace {

struct CompareOptions {
  std::filesystem::path model = {};
  std::filesystem::path data = "data/quickstart";
  std::filesystem::path output_dir = "runs/compare";
  std::vector<std::string> methods = {"lora", "prefix_tuning", "p_tuning", "prompt_tuning"};
  std::string dtype = "auto";
  std::string device = "auto";
  int64_t per_device_train_batch_size = 4;
  double num_train_epochs = 1;
  int64_t max_steps = -1;
  int64_t num_virtual_tokens = 16;
  int64_t lora_r = 16;
  int64_t questions = 60;
  double learning_rate_factor = 1;
  int64_t seed = 42;

  static void fields(auto& self, auto&& field) {
    field("model", self.model, "Checkpoint folder or .gguf file.", Required{});
    field("data", self.data, "Folder with train.jsonl and heldout.jsonl.");
    field("output_dir", self.output_dir, "Folder for the adapters, comparison.json and loss.svg.");
    field("methods", self.methods, "lora, prefix_tuning, p_tuning, prompt_tuning.");
    field("dtype", self.dtype, "Type of the base's weights: auto, float32 or bfloat16.");
    field("device", self.device, "What computes: auto, cpu, cuda or cuda:1.");
    field("per_device_train_batch_size", self.per_device_train_batch_size, "Rows in a batch.");
    field("num_train_epochs", self.num_train_epochs, "Passes over the data.");
    field("max_steps", self.max_steps, "Optimiser steps; overrides the passes where above 0.");
    field("num_virtual_tokens", self.num_virtual_tokens, "Length of the prompts.");
    field("lora_r", self.lora_r, "Rank of LoRA's update matrices.");
    field("questions", self.questions, "Held-out rows that are answered for the exact match.");
    field("learning_rate_factor", self.learning_rate_factor,
          "Multiplies the learning rate of each method.");
    field("seed", self.seed, "Seed of the initial weights and the order of rows.");
  }
};

std::vector<ComparedMethod> methods_of(const CompareOptions& options) {
  std::vector<ComparedMethod> methods;
  for (const std::string& words : options.methods) {
    for (const std::string& word : split(words, ',')) {
      if (word.empty()) continue;
      methods.push_back(compared_method(word, options.num_virtual_tokens, options.lora_r,
                                        options.model.string()));
      methods.back().learning_rate *= options.learning_rate_factor;
    }
  }
  if (methods.empty()) throw UsageError("--methods: expected at least one.");
  return methods;
}

/// As many of each kind of pattern as there are in the file, spread over it.
std::vector<Question> some_questions(std::vector<Question> all, int64_t wanted) {
  const auto count = static_cast<size_t>(std::max<int64_t>(wanted, 0));
  if (count >= all.size()) return all;
  std::vector<Question> some;
  for (size_t i = 0; i < count; ++i) some.push_back(std::move(all[i * all.size() / count]));
  return some;
}

int compare(const CompareOptions& options, Console& console) {
  const auto methods = methods_of(options);
  ComparisonData data;
  data.questions =
      some_questions(read_questions(options.data / "heldout.jsonl"), options.questions);
  AdaptedModel model = AdaptedModel::open_base(
      {.model_name_or_path = options.model, .dtype = options.dtype, .device = options.device});
  const auto examples = [&](const char* part) {
    return train::make_examples(train::read_rows(options.data / part), model.text_or_null(), {});
  };
  data.train = {.train = examples("train.jsonl"), .pad_id = model.text().pad_id()};
  data.heldout = examples("heldout.jsonl");
  const double base_loss = mean_loss(model.language_model(), data.heldout, data.train.pad_id);
  const double base_match =
      exact_match(data.questions, answer(model.language_model(), model.text(), data.questions)).all;

  std::vector<ComparedResult> results;
  for (const ComparedMethod& method : methods) {
    console.headline(fmt::format("{} of {}: {}", results.size() + 1, methods.size(), method.name));
    results.push_back(
        run_method(model, method,
                   {.output_dir = options.output_dir.string(),
                    .per_device_train_batch_size = options.per_device_train_batch_size,
                    .lr_scheduler_type = "cosine",
                    .warmup_steps = 0.05,
                    .num_train_epochs = options.num_train_epochs,
                    .max_steps = options.max_steps,
                    .seed = options.seed,
                    .save_strategy = "no"},
                   data, console));
  }
  const Figure figure = comparison_figure(results);
  ensure_folder(options.output_dir);
  write_file_atomically(options.output_dir / "loss.svg", plot_svg(figure));
  write_file_atomically(
      options.output_dir / "comparison.json",
      dump_json(comparison_json(results, base_loss, base_match), {.final_newline = true}));
  console.talk << plot_text(figure, {.width = std::min(console.talk_terminal.current_width(), 100),
                                     .terminal = console.talk_terminal});
  console.out << comparison_table(results, base_loss, base_match) << std::flush;
  return kOk;
}

}  // namespace

Command compare_command() {
  return command<CompareOptions>(
      "compare", "Train several methods on one task, one after the other, and compare them.",
      "--model M [--methods lora,prefix_tuning,... --data DIR --output_dir OUT]", compare);
}

}  // namespace peft::cli
