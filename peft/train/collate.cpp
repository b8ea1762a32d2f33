#include "peft/train/collate.h"

#include <algorithm>

namespace peft::train {

namespace {

using Rows = std::vector<const Example*>;

// One list of every row as [B, longest], `filler` behind the shorter ones.
at::Tensor padded(const Rows& rows, std::vector<int64_t> Example::*list, int64_t filler) {
  size_t width = 0;
  for (const Example* row : rows) width = std::max(width, (row->*list).size());
  auto tensor =
      at::full({static_cast<int64_t>(rows.size()), static_cast<int64_t>(width)}, filler, at::kLong);
  auto* const values = tensor.mutable_data_ptr<int64_t>();
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy((rows[i]->*list).begin(), (rows[i]->*list).end(), values + i * width);
  }
  return tensor;
}

// Undefined where all lists are as long as the longest.
at::Tensor mask_of(const Rows& rows, std::vector<int64_t> Example::*list, int64_t width) {
  const auto full = [&](const Example* row) {
    return static_cast<int64_t>((row->*list).size()) == width;
  };
  if (std::all_of(rows.begin(), rows.end(), full)) return {};
  auto mask = at::zeros({static_cast<int64_t>(rows.size()), width}, at::kLong);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto length = static_cast<int64_t>((rows[i]->*list).size());
    mask[static_cast<int64_t>(i)].narrow(0, 0, length).fill_(1);
  }
  return mask;
}

at::Tensor targets_of(const Rows& rows) {
  std::vector<double> values;
  for (const Example* row : rows) {
    values.insert(values.end(), row->row_target.begin(), row->row_target.end());
  }
  return at::tensor(values, at::kDouble).view({static_cast<int64_t>(rows.size()), -1});
}

}  // namespace

Batch collate(const std::vector<Example>& examples, const std::vector<size_t>& rows,
              int64_t pad_id) {
  Batch batch{.rows = static_cast<int64_t>(rows.size())};
  Rows chosen;
  for (const size_t row : rows) {
    chosen.push_back(&examples[row]);
    batch.tokens += static_cast<int64_t>(examples[row].input_ids.size());
    batch.counted += examples[row].counted();
    if (examples[row].window) batch.windows.push_back(*examples[row].window);
  }
  batch.input_ids = padded(chosen, &Example::input_ids, pad_id);
  batch.attention_mask = mask_of(chosen, &Example::input_ids, batch.input_ids.size(1));
  if (!chosen.front()->second_ids.empty()) {
    batch.second_ids = padded(chosen, &Example::second_ids, pad_id);
    batch.second_mask = mask_of(chosen, &Example::second_ids, batch.second_ids.size(1));
  }
  if (chosen.front()->task_id) {
    std::vector<int64_t> tasks;
    for (const Example* row : chosen) tasks.push_back(row->task_id.value_or(-1));
    batch.task_ids = at::tensor(tasks, at::kLong);
  }
  if (!chosen.front()->row_target.empty()) {
    batch.row_targets = targets_of(chosen);
  } else {
    batch.labels = padded(chosen, &Example::labels, kIgnoreLabel);
  }
  if (!chosen.front()->token_type_ids.empty()) {
    batch.token_type_ids = padded(chosen, &Example::token_type_ids, 0);
  }
  return batch;
}

}  // namespace peft::train
