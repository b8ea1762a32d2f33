#include "cli/row_tasks.h"

#include <ATen/ATen.h>
#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/methods/multitask_prompt_tuning/config.h"

namespace peft::cli {

int64_t num_tasks(const PeftConfig& config) {
  if (config.peft_type() != MultitaskPromptTuningConfig().peft_type) return 0;
  return config.as<MultitaskPromptTuningConfig>().num_tasks;
}

std::optional<int64_t> task_of_row(const std::optional<int64_t>& own, int64_t flag, int64_t tasks,
                                   const std::string& where) {
  if (tasks == 0) return std::nullopt;
  const std::optional<int64_t> task = own || flag < 0 ? own : std::optional(flag);
  if (task && *task >= 0 && *task < tasks) return task;
  throw ConfigError(fmt::format(
      "{}: task_id: expected a number from 0 to {}, as the adapter tells {} tasks apart, got {}. "
      "Name it in the row, or give --task_id for all rows without one.",
      where, tasks - 1, tasks, task ? std::to_string(*task) : "none"));
}

void check_task_flag(int64_t flag, int64_t tasks) {
  if (flag < 0 || tasks > 0) return;
  throw ConfigError(fmt::format(
      "--task_id: expected an adapter that tells tasks apart (MULTITASK_PROMPT_TUNING), got {} for "
      "one that does not. Leave the flag out.",
      flag));
}

at::Tensor tasks_of(const std::vector<train::TaskRow>& rows) {
  std::vector<int64_t> tasks;
  for (const train::TaskRow& row : rows) {
    if (row.task_id) tasks.push_back(*row.task_id);
  }
  return tasks.empty() ? at::Tensor() : at::tensor(tasks, at::kLong);
}

}  // namespace peft::cli
