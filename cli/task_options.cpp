#include "cli/task_options.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <vector>

#include "cli/options.h"

namespace peft::cli {

TaskKind task_kind(const std::string& task_type) {
  using train::RowTask;
  static const std::vector<TaskKind> kinds = {
      {"SEQ_CLS", RowTask::kSequenceClassification, ModelTask::kSequenceClassification},
      {"TOKEN_CLS", RowTask::kTokenClassification, ModelTask::kTokenClassification},
      {"QUESTION_ANS", RowTask::kQuestionAnswering, ModelTask::kQuestionAnswering},
      {"SEQ_2_SEQ_LM", RowTask::kSeq2SeqLM, ModelTask::kSeq2SeqLM},
      {"FEATURE_EXTRACTION", RowTask::kSequenceClassification, ModelTask::kBody},
  };
  std::vector<std::string> names{"CAUSAL_LM"};
  for (const TaskKind& kind : kinds) {
    if (kind.task_type == task_type) return kind;
    names.push_back(kind.task_type);
  }
  throw UsageError(
      fmt::format("--task_type: expected one of {}, got '{}'.", fmt::join(names, ", "), task_type));
}

}  // namespace peft::cli
