#pragma once

#include <cstdint>
#include <optional>

#include "peft/base/json.h"
#include "peft/task_examples.h"
#include "peft/train/task_row.h"

namespace peft::cli {

inline constexpr int64_t kTrainLength = 1024;   // tokens of a row that is trained on, as in TRL
inline constexpr int64_t kPredictLength = 512;  // of one that is predicted
inline constexpr const char* kDocStrideHelp =
    "Tokens that two windows of a context share; default: 128, at most a third of max_length.";

/// The flags that say how long rows may be; unset: not given.
struct RowLengths {
  std::optional<int64_t> max_length = {}, doc_stride = {};

  /// Throws: UsageError for a number below 0, and for windows that overlap as a whole.
  void check() const;

  /// `otherwise`: of rows where --max_length is not given; 384 of a question with its context.
  /// `room`: what the model has for a row's own tokens, which a default keeps to.
  TaskEncodeOptions options(train::RowTask task, int64_t otherwise,
                            std::optional<int64_t> room) const;
};

/// The tokens that a model can tell the places of; nullopt: as many as there are.
std::optional<int64_t> most_tokens(const Json& model_config);

}  // namespace peft::cli
