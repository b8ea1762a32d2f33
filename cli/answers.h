#pragma once

#include <vector>

#include "cli/headed_base.h"

namespace peft::cli {

struct AnswerOptions {
  RowLengths lengths = {};
  int64_t batch_size = 8;          // windows of contexts in a batch
  int64_t max_answer_length = 30;  // tokens
  int64_t n_best_size = 1;         // answers to a question, the best one first
  bool may_lack = false;           // contexts may have no answer
};

/// An answer in the words of its context; one of no words is that there is none.
struct FoundAnswer {
  std::string text = {};
  int64_t start = 0, end = 0;  // characters of the context, half open
  double score = 0;            // the share of its start times that of its end, of all windows
};

/// The best answers to the question of each row, over all windows of its context.
/// Throws: what HeadedBase::encode throws.
std::vector<std::vector<FoundAnswer>> find_answers(HeadedBase& base,
                                                   const std::vector<train::TaskRow>& rows,
                                                   const AnswerOptions& options);

}  // namespace peft::cli
