#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/adapted_model.h"
#include "cli/exact_match.h"
#include "cli/train_run.h"
#include "peft/base/json.h"
#include "peft/base/plot.h"

namespace peft::cli {

/// One method in a comparison: what its adapter is, and the learning rate that suits it.
struct ComparedMethod {
  std::string name = {};  // the word of --methods
  PeftConfig config;
  double learning_rate = 0;
};

/// The method of a word, with `virtual_tokens` for prompts and `lora_r` for LoRA.
/// Throws: UsageError with the words that there are.
ComparedMethod compared_method(const std::string& name, int64_t virtual_tokens, int64_t lora_r,
                               const std::string& base_model);

/// What became of one method.
struct ComparedResult {
  std::string name = {};
  int64_t trainable_params = 0;
  uint64_t file_bytes = 0;  // of adapter_model.safetensors
  double train_seconds = 0;
  uint64_t peak_rss = 0;    // while it was trained and asked
  double heldout_loss = 0;  // mean over the counted tokens
  double exact_match = 0;
  std::vector<double> losses = {};  // of each step
};

/// A data set for all methods.
struct ComparisonData {
  train::TrainData train = {};
  std::vector<train::Example> heldout = {};
  std::vector<Question> questions = {};
};

/// The mean loss of a model over rows.
double mean_loss(LanguageModelImpl& model, const std::vector<train::Example>& rows, int64_t pad_id);

/// Trains one method on the base, asks it, and takes it out of the model again. The adapter goes to
/// `<output_dir>/<name>/adapter`.
ComparedResult run_method(AdaptedModel& model, const ComparedMethod& method,
                          const train::TrainOptions& options, const ComparisonData& data,
                          const Console& console);

/// The results as a table for people, as JSON, and as a figure of the losses.
std::string comparison_table(const std::vector<ComparedResult>& results, double base_loss,
                             double base_exact_match);
Json comparison_json(const std::vector<ComparedResult>& results, double base_loss,
                     double base_exact_match);
Figure comparison_figure(const std::vector<ComparedResult>& results);

}  // namespace peft::cli
