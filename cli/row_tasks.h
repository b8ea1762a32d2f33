#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/train/task_row.h"

namespace peft::cli {

/// The number of tasks that an adapter tells apart by task ids; 0: it tells none apart.
int64_t num_tasks(const PeftConfig& config);

/// The task of a row: its own, else that of --task_id (`flag`, below 0: not given); nullopt where
/// the adapter tells no tasks apart.
/// Throws: ConfigError that begins with `where`, with the numbers that there are.
std::optional<int64_t> task_of_row(const std::optional<int64_t>& own, int64_t flag, int64_t tasks,
                                   const std::string& where);

/// Throws: ConfigError where --task_id is given for an adapter that tells no tasks apart.
void check_task_flag(int64_t flag, int64_t tasks);

/// Gives every row its task.  Throws: as the two above.
template <typename Row>
void settle_tasks(std::vector<Row>& rows, int64_t flag, int64_t tasks) {
  check_task_flag(flag, tasks);
  for (Row& row : rows) row.task_id = task_of_row(row.task_id, flag, tasks, row.where);
}

/// The tasks of rows, [B]; undefined where they have none.
at::Tensor tasks_of(const std::vector<train::TaskRow>& rows);

}  // namespace peft::cli
