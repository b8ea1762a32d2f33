#pragma once

#include <memory>
#include <optional>

#include "cli/adapted_model.h"
#include "cli/row_lengths.h"
#include "cli/task_options.h"
#include "peft/headed_task.h"
#include "peft/label_set.h"
#include "peft/task_examples.h"

namespace peft::cli {

/// A base model with a head, its tokenizer and, once it is put on, an adapter.
class HeadedBase {
 public:
  /// Opens the base with a head for these labels. A head that the checkpoint lacks begins with
  /// random numbers of libtorch's generator.
  HeadedBase(const ModelOptions& options, const TaskKind& kind, LabelSet labels);

  /// Puts a new adapter on the base.  Throws: what get_peft_model throws.
  void put_adapter(const PeftConfig& config);
  /// Puts the adapter of a folder on the base.
  void load_adapter(const std::filesystem::path& folder, bool is_trainable);

  HeadedModel& model();
  PeftModel& peft() { return peft_model_of(model()); }
  const TaskModel& base() const { return base_; }
  const LabelSet& labels() const { return labels_; }
  const ChatTokenizer& text() const { return *text_; }

  /// A row as tokens: of a question one part for each window of its context, else one alone.
  /// `otherwise`: see RowLengths.  Throws: what encode_task_row throws.
  std::vector<TaskEncoding> encode(const train::TaskRow& row, const RowLengths& lengths,
                                   int64_t otherwise) const;

  /// Scores of rows that run as one batch, without those of a prompt's tokens, on the CPU.
  ///   -> [B, L] or [B, T, L] float32
  at::Tensor scores(const std::vector<TaskEncoding>& rows);

 private:
  TaskKind kind_;
  LabelSet labels_;
  std::shared_ptr<const ChatTokenizer> text_;
  TaskModel base_;
  std::optional<HeadedModel> model_;
  int64_t virtual_tokens_ = 0;  // that stand before a row's own
};

}  // namespace peft::cli
