#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "peft/train/example.h"

namespace peft::train {

/// Rows of tokens as tensors. Legend: B rows, T tokens of the longest row, U of the longest target
/// text, S of the longest second text, K numbers a row.
struct Batch {
  at::Tensor input_ids = {};       // [B, T] int64
  at::Tensor attention_mask = {};  // [B, T] int64; undefined where no row is padded
  at::Tensor labels = {};          // [B, T] int64, -100 where not counted; [B, U] of target texts
  at::Tensor token_type_ids = {};  // [B, T] int64; undefined where rows have none
  at::Tensor row_targets = {};     // [B, K] float64; undefined where tokens have labels
  at::Tensor task_ids = {};        // [B] int64; undefined where rows have none
  at::Tensor second_ids = {};      // [B, S] int64; undefined where rows have no second text
  at::Tensor second_mask = {};     // [B, S] int64; undefined where none of those is padded
  std::vector<TextWindow> windows = {};  // of each row; empty where rows are no parts of texts
  int64_t rows = 0;
  int64_t tokens = 0;   // without padding
  int64_t counted = 0;  // labels that the loss counts
};

/// Puts rows together, which are alike in what they have, padded on the right to the longest of
/// them. Source: DataCollatorForLanguageModeling in trl/trainer/sft_trainer.py.
Batch collate(const std::vector<Example>& examples, const std::vector<size_t>& rows,
              int64_t pad_id = 0);

}  // namespace peft::train
