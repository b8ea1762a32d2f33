#include "peft/train/collate.h"

#include <algorithm>

namespace peft::train {

Batch collate(const std::vector<Example>& examples, const std::vector<size_t>& rows,
              int64_t pad_id) {
  Batch batch{.rows = static_cast<int64_t>(rows.size())};
  size_t width = 0, shortest = SIZE_MAX;
  for (const size_t row : rows) {
    const size_t length = examples[row].input_ids.size();
    width = std::max(width, length);
    shortest = std::min(shortest, length);
  }
  const std::vector<int64_t> shape = {batch.rows, static_cast<int64_t>(width)};
  batch.input_ids = at::full(shape, pad_id, at::kLong);
  batch.labels = at::full(shape, kIgnoreLabel, at::kLong);
  if (shortest < width) batch.attention_mask = at::zeros(shape, at::kLong);

  auto* const ids = batch.input_ids.mutable_data_ptr<int64_t>();
  auto* const labels = batch.labels.mutable_data_ptr<int64_t>();
  for (size_t i = 0; i < rows.size(); ++i) {
    const Example& example = examples[rows[i]];
    const size_t length = example.input_ids.size();
    std::copy_n(example.input_ids.begin(), length, ids + i * width);
    std::copy_n(example.labels.begin(), length, labels + i * width);
    if (batch.attention_mask.defined()) {
      std::fill_n(batch.attention_mask.mutable_data_ptr<int64_t>() + i * width, length, int64_t{1});
    }
    batch.tokens += static_cast<int64_t>(length);
    batch.counted += example.counted();
  }
  return batch;
}

}  // namespace peft::train
