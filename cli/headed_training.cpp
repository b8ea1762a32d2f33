#include "cli/headed_training.h"

#include <ATen/ATen.h>
#include <fmt/core.h>

#include "cli/row_tasks.h"
#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::cli {

namespace {

std::vector<train::Example> examples_of(const std::vector<train::TaskRow>& rows, HeadedBase& base,
                                        const HeadedTraining& training) {
  std::vector<train::Example> examples;
  for (size_t i = 0; i < rows.size(); ++i) {
    for (TaskEncoding& part : base.encode(rows[i], training.lengths, kTrainLength)) {
      if (part.example.window) part.example.window->row = static_cast<int64_t>(i);
      examples.push_back(std::move(part.example));
    }
  }
  return examples;
}

// An adapter that is gone on with has its labels in its folder.
LabelSet labels_of(const HeadedTraining& training, const std::vector<train::TaskRow>& rows) {
  if (training.kind.rows == train::RowTask::kQuestionAnswering) return {};
  if (!training.config) return LabelSet::load(local_adapter(training.model.adapter));
  return find_labels(rows, training.kind.rows, training.problem_type);
}

}  // namespace

std::vector<train::TaskRow> rows_for_training(const HeadedTraining& training,
                                              const std::filesystem::path& file, bool labelled) {
  auto rows = train::read_task_rows(file, training.kind.rows, training.columns, labelled);
  settle_tasks(rows, training.model.task_id, training.tasks);
  return rows;
}

TrainOutcome train_headed(HeadedTraining training, const Console& console) {
  const auto read = [&](const std::filesystem::path& file) {
    return rows_for_training(training, file, true);
  };
  const auto rows = read(training.train_file);
  std::vector<train::TaskRow> valid;
  if (training.valid_file) valid = read(*training.valid_file);
  at::manual_seed(static_cast<uint64_t>(training.run.options.seed));
  const LabelSet labels = labels_of(training, rows);
  HeadedBase base(training.model, training.kind, labels);
  if (training.config) {
    base.put_adapter(*training.config);
  } else {
    base.load_adapter(local_adapter(training.model.adapter), true);
  }
  training.run.data = {.train = examples_of(rows, base, training),
                       .valid = examples_of(valid, base, training),
                       .pad_id = base.text().pad_id()};
  base.base()->set_gradient_checkpointing(training.gradient_checkpointing);
  const size_t parts = training.run.data.train.size();
  std::string what = fmt::format("{} rows", rows.size());
  if (parts > rows.size()) what += fmt::format(" in {} windows", parts);
  if (!labels.names.empty()) what += fmt::format(", {} labels", labels.names.size());
  say_what_is_trained(what, base.peft(), console);
  HeadedTask task(base.model(), labels.names);
  const auto folder = training.run.adapter_dir;
  const TrainOutcome outcome = run_training(std::move(training.run), task, console);
  if (!labels.names.empty()) labels.save(folder);
  return outcome;
}

}  // namespace peft::cli
