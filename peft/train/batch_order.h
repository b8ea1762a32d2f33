#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace peft::train {

struct BatchOrderOptions {
  int64_t batch_size = 8;
  bool shuffle = true;          // false: the file's order, batch after batch
  bool group_by_length = true;  // with shuffle: rows of like length share a batch
  uint64_t seed = 42;
};

/// Which rows make up each batch of one epoch: a pure function of its arguments, on every machine,
/// so that a run which is taken up again sees the same batches. Every row comes once; the last
/// batch of the file's order may be smaller.
///
/// Grouping: rows are permuted, cut into chunks of 50 batches (fewer for small sets), sorted by
/// length inside a chunk, and the batches are permuted, the one with the longest row first, so that
/// a lack of memory shows at once. Source: get_length_grouped_indices in
/// transformers/trainer_pt_utils.py; unlike there the batches are permuted, so that lengths do not
/// fall steadily through a chunk.
std::vector<std::vector<size_t>> batches_of_epoch(const std::vector<size_t>& lengths,
                                                  const BatchOrderOptions& options, int64_t epoch);

}  // namespace peft::train
