#include <ATen/ATen.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "cli/commands.h"
#include "cli/examples.h"
#include "cli/named_adapters.h"
#include "cli/row_tasks.h"
#include "cli/scoring.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/train/batch_order.h"
#include "peft/train/example.h"

namespace peft::cli {

namespace {

struct ScoreOptions {
  NamedAdaptersOptions model = {};
  std::filesystem::path input = {};
  std::string dataset_text_field = "text";
  int64_t batch_size = 8;
  int64_t max_length = 0;
  bool completion_only_loss = true;
  bool assistant_only_loss = false;

  static void fields(auto& self, auto&& field) {
    NamedAdaptersOptions::fields(self.model, field);
    field("input", self.input,
          "JSONL file with rows as for training; a row may name its adapter, or __base__, as "
          "adapter_name.",
          Required{});
    field("dataset_text_field", self.dataset_text_field, "Key of plain text rows.");
    field("batch_size", self.batch_size, "Rows in a batch.");
    field("max_length", self.max_length, "Rows are cut after this many tokens; 0: never.");
    field("completion_only_loss", self.completion_only_loss,
          "Count the completion alone in rows with a prompt.");
    field("assistant_only_loss", self.assistant_only_loss,
          "Count the assistant's words alone in rows of messages.");
  }
};

/// `%.9g` gives every float32 its own text.
std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.9g}", value)
                              : (std::isnan(value) ? "NaN" : "-Infinity");
}

void write_row(const RowScore& score, const Console& console) {
  std::string logprobs;
  for (const float value : score.logprobs) {
    if (!logprobs.empty()) logprobs += ", ";
    logprobs += number(value);
  }
  const std::string loss = score.num_tokens == 0
                               ? "null"
                               : number(score.loss_sum / static_cast<double>(score.num_tokens));
  console.result(fmt::format(R"({{"loss": {}, "num_tokens": {}, "logprobs": [{}]}})", loss,
                             score.num_tokens, logprobs));
}

/// The adapter of each row: the one that it names, else the first. A wrong name is told before any
/// row is scored.
RowAdapters adapters_of(const std::vector<train::DataRow>& rows, AdaptedModel& model,
                        const std::vector<NamedAdapter>& adapters) {
  RowAdapters result;
  const std::string otherwise = adapters.empty() ? std::string(kBaseRow) : adapters.front().name;
  bool differ = false;
  for (const train::DataRow& row : rows) {
    const std::string& name = row.adapter_name ? *row.adapter_name : otherwise;
    std::vector<std::string> known{std::string(kBaseRow)};
    for (const NamedAdapter& adapter : adapters) known.push_back(adapter.name);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw ConfigError(
          fmt::format("{}: adapter_name: expected one of {}, got '{}'. Give it as "
                      "--adapter NAME=DIR.",
                      row.where, join_names(known), name));
    }
    differ |= name != otherwise;
    result.names.push_back(name);
  }
  if (differ) result.model = model.peft_or_null();
  return result;
}

at::Tensor tasks_of(const std::vector<train::Example>& examples, const std::vector<size_t>& rows) {
  std::vector<int64_t> tasks;
  for (const size_t row : rows) tasks.push_back(examples[row].task_id.value());
  return at::tensor(tasks, at::kLong);
}

int score(const ScoreOptions& options, Console& console) {
  if (options.batch_size < 1) throw UsageError("--batch_size: expected at least 1.");
  if (options.max_length < 0) throw UsageError("--max_length: expected at least 0.");
  const auto adapters = options.model.adapters();
  options.model.model.wanted_dtype();  // a wrong flag is told before any file is opened
  auto rows = train::read_rows(options.input, {.text_field = options.dataset_text_field});
  AdaptedModel model = AdaptedModel::open(options.model.model, adapters);
  settle_tasks(rows, options.model.model.task_id, model.num_tasks());
  const RowAdapters row_adapters = adapters_of(rows, model, adapters);
  const auto examples = examples_of(rows, model,
                                    {.completion_only_loss = options.completion_only_loss,
                                     .assistant_only_loss = options.assistant_only_loss,
                                     .max_length = options.max_length},
                                    console);
  double loss = 0;
  int64_t tokens = 0;
  const std::vector<size_t> lengths(examples.size(), 0);
  for (const auto& batch :
       train::batches_of_epoch(lengths, {.batch_size = options.batch_size, .shuffle = false}, 0)) {
    if (model.num_tasks() > 0) model.read_as_tasks(tasks_of(examples, batch));
    for (const RowScore& score :
         score_rows(model.language_model(), examples, batch, row_adapters)) {
      write_row(score, console);
      loss += score.loss_sum;
      tokens += score.num_tokens;
    }
  }
  if (tokens > 0) {
    const double mean = loss / static_cast<double>(tokens);
    console.say(fmt::format("{} rows, {} counted tokens, loss {:.6f}, perplexity {:.4f}",
                            rows.size(), tokens, mean, std::exp(mean)));
  }
  return kOk;
}

}  // namespace

Command score_command() {
  return command<ScoreOptions>(
      "score", "Log-probabilities of given texts under a model.",
      "--model_name_or_path M [--adapter [NAME=]DIR ...] --input FILE.jsonl [FLAGS]", score);
}

}  // namespace peft::cli
