#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "peft/train/example.h"
#include "peft/train/task.h"

namespace peft {

/// What a model got right over an evaluation. Each kind of answer has figures of its own; add() is
/// called once a batch, and metrics() gives them for all batches so far.
class TaskMeter {
 public:
  virtual ~TaskMeter() = default;
  virtual train::Metrics metrics() const = 0;
};

/// One class a row: "accuracy" and "f1", the mean of each class's F1 over those that occur.
/// Source: scikit-learn's f1_score with average="macro".
class ClassMeter final : public TaskMeter {
 public:
  void add(const at::Tensor& predicted, const at::Tensor& expected);  // [N] int64 both
  train::Metrics metrics() const override;

 private:
  std::vector<int64_t> predicted_, expected_;
};

/// Any number of labels a row: "accuracy", of whole rows, and "f1", over all labels together.
class LabelsMeter final : public TaskMeter {
 public:
  void add(const at::Tensor& predicted, const at::Tensor& expected);  // [B, L] of 0 and 1
  train::Metrics metrics() const override;

 private:
  int64_t rows_ = 0, right_rows_ = 0, both_ = 0, predicted_ = 0, expected_ = 0;
};

/// Numbers: "mse", the mean of the squared differences.
class NumberMeter final : public TaskMeter {
 public:
  void add(const at::Tensor& predicted, const at::Tensor& expected);  // [B, L]
  train::Metrics metrics() const override;

 private:
  double squares_ = 0;
  int64_t numbers_ = 0;
};

/// A class a word: "accuracy" of the words; "f1" of whole entities, where the names of the classes
/// begin with B- and I- as in CoNLL, else as ClassMeter. Source: seqeval's get_entities.
class EntityMeter final : public TaskMeter {
 public:
  explicit EntityMeter(std::vector<std::string> names) : names_(std::move(names)) {}
  /// [B, T] int64 both; -100 in `expected` where there is no word.
  void add(const at::Tensor& predicted, const at::Tensor& expected);
  train::Metrics metrics() const override;

 private:
  std::vector<std::string> names_;
  ClassMeter words_;
  int64_t both_ = 0, predicted_ = 0, expected_ = 0;
};

/// Borders of an answer: "exact_match" of both, and "f1", the mean overlap in tokens.
class SpanMeter final : public TaskMeter {
 public:
  void add(const at::Tensor& predicted, const at::Tensor& expected);  // [B, 2] int64 both
  train::Metrics metrics() const override;

 private:
  int64_t rows_ = 0, exact_ = 0;
  double overlap_ = 0;
};

/// Answers in contexts of several windows: the figures of SpanMeter for whole contexts, whose
/// answer is the best one of all windows. Where some context has no answer, one that scores higher
/// in the first tokens than in its best answer counts as without. Legend: B windows, T tokens.
class AnswerMeter final : public TaskMeter {
 public:
  /// logits [B, T, 2], borders [B, 2] int64, {0, 0} where the window lacks the answer
  void add(const at::Tensor& logits, const at::Tensor& borders,
           const std::vector<train::TextWindow>& windows);
  train::Metrics metrics() const override;

 private:
  using Span = std::pair<int64_t, int64_t>;  // tokens of the whole context

  struct Question {
    Span expected, predicted;
    double score = 0, no_answer = 0;
  };

  std::map<int64_t, Question> questions_;  // by row
};

}  // namespace peft
