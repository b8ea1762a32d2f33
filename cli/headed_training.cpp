#include "cli/headed_training.h"

#include <ATen/ATen.h>
#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::cli {

namespace {

std::vector<train::Example> examples_of(const std::vector<train::TaskRow>& rows,
                                        const HeadedBase& base, int64_t max_length) {
  std::vector<train::Example> examples;
  for (const train::TaskRow& row : rows) examples.push_back(base.encode(row, max_length).example);
  return examples;
}

// An adapter that is gone on with has its labels in its folder.
LabelSet labels_of(const HeadedTraining& training, const std::vector<train::TaskRow>& rows) {
  if (training.kind.rows == train::RowTask::kQuestionAnswering) return {};
  if (!training.config) return LabelSet::load(local_adapter(training.model.adapter));
  return find_labels(rows, training.kind.rows, training.problem_type);
}

}  // namespace

TrainOutcome train_headed(HeadedTraining training, const Console& console) {
  const auto read = [&](const std::filesystem::path& file) {
    return train::read_task_rows(file, training.kind.rows, training.columns, true);
  };
  const auto rows = read(training.train_file);
  std::vector<train::TaskRow> valid;
  if (training.valid_file) valid = read(*training.valid_file);
  at::manual_seed(static_cast<uint64_t>(training.run.options.seed));
  const LabelSet labels = labels_of(training, rows);
  HeadedBase base(training.model, training.kind, labels);
  training.run.data = {.train = examples_of(rows, base, training.max_length),
                       .valid = examples_of(valid, base, training.max_length),
                       .pad_id = base.text().pad_id()};
  if (training.config) {
    base.put_adapter(*training.config);
  } else {
    base.load_adapter(local_adapter(training.model.adapter), true);
  }
  base.base()->set_gradient_checkpointing(training.gradient_checkpointing);
  const std::string classes =
      labels.names.empty() ? "" : fmt::format(", {} labels", labels.names.size());
  say_what_is_trained(fmt::format("{} rows{}", rows.size(), classes), base.peft(), console);
  HeadedTask task(base.model(), labels.names);
  const auto folder = training.run.adapter_dir;
  const TrainOutcome outcome = run_training(std::move(training.run), task, console);
  if (!labels.names.empty()) labels.save(folder);
  return outcome;
}

}  // namespace peft::cli
