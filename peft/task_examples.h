#pragma once

#include <optional>
#include <vector>

#include "peft/label_set.h"
#include "peft/tokenizers/tokenizer.h"
#include "peft/train/example.h"

namespace peft {

/// How rows of a task become tokens.
struct TaskEncodeOptions {
  int64_t max_length = 512;    // longer rows are cut (of a question, its context); 0: never
  int64_t doc_stride = 128;    // tokens of a context that two windows of it share
  int64_t max_target = 128;    // tokens of a target text; 0: never cut
  bool with_type_ids = false;  // for models that tell two texts apart
};

/// A row as a model reads it, with what leads its answers back to the row.
struct TaskEncoding {
  train::Example example = {};
  /// kTokenClassification: the token that a word begins with; nullopt: it was cut away.
  std::vector<std::optional<int64_t>> first_tokens = {};
  /// kQuestionAnswering: bytes of the context that each token covers; nullopt: of something else.
  std::vector<std::optional<std::pair<size_t, size_t>>> spans = {};
};

/// Tokenises a question with as many windows of its context as this has; a window without the whole
/// answer has the first token as its answer. All windows say that they are of row 0.
/// Throws: as encode_task_row; ConfigError where a window has no room for more than `doc_stride`.
/// Source: examples/pytorch/question-answering/run_qa.py in transformers.
std::vector<TaskEncoding> encode_question_windows(const train::TaskRow& row,
                                                  const tokenizers::Tokenizer& tokenizer,
                                                  const TaskEncodeOptions& options = {});

/// Tokenises a row; where its label is null the example has no target. A token that continues a
/// word has no label. An answer that was cut away, and no answer, is the first token.
/// Throws: ConfigError that begins with the row's file and line (an unknown label, an answer that
/// is not in its context, a row of another shape than the labels).
/// Source: the examples of transformers for text-classification, token-classification and
/// question-answering.
TaskEncoding encode_task_row(const train::TaskRow& row, train::RowTask task, const LabelSet& labels,
                             const tokenizers::Tokenizer& tokenizer,
                             const TaskEncodeOptions& options = {});

}  // namespace peft
