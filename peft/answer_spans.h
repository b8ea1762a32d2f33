#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "peft/train/example.h"

namespace peft {

/// A part of a context that may be the answer to a question.
struct AnswerSpan {
  size_t window = 0;            // which of the context's windows it is in
  int64_t first = 0, last = 0;  // its tokens there
  double score = 0;             // the sum of the scores of its start and its end
};

/// The scores of one window of a context. Legend: T tokens.
struct ScoredWindow {
  at::Tensor scores = {};        // [T, 2] float32 on the CPU: of being the start, and the end
  train::TextWindow place = {};  // where the context stands in its tokens
};

struct AnswerSpanOptions {
  size_t n_best_size = 1;          // answers at most
  int64_t max_answer_length = 30;  // tokens at most
};

/// The best answers over all windows of one context, the best one first; empty where no window has
/// a token of the context.
/// Source: postprocess_qa_predictions in examples/pytorch/question-answering/utils_qa.py of
/// transformers, which looks at the best starts and ends alone.
std::vector<AnswerSpan> best_answers(const std::vector<ScoredWindow>& windows,
                                     const AnswerSpanOptions& options = {});

/// The score of there being no answer: that of the first token, in the window where it is lowest.
double no_answer_score(const std::vector<ScoredWindow>& windows);

}  // namespace peft
