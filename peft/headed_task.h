#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "peft/adapter_task.h"
#include "peft/peft_model_for_question_answering.h"
#include "peft/peft_model_for_sequence_classification.h"
#include "peft/peft_model_for_token_classification.h"
#include "peft/task_meter.h"

namespace peft {

/// A model with a head and adapters, whatever the head is for.
using HeadedModel = std::variant<PeftModelForSequenceClassification,
                                 PeftModelForTokenClassification, PeftModelForQuestionAnswering>;

/// What its kinds have in common.
PeftModel& peft_model_of(HeadedModel& model);

/// Scores as the model gives them: see the forward of its kind.
at::Tensor scores_of(HeadedModel& model, const EncoderInput& input, const TaskCall& call = {});

/// The best start and end of each row, the end not before the start.
///   logits [B, T, 2] -> [B, 2] int64
/// `mask` [B, T], not 0 where an answer may be; undefined: everywhere.
at::Tensor best_spans(const at::Tensor& logits, const at::Tensor& mask = {});

/// Trains an adapter of a model with a head, and measures it in evaluations: see task_meter.h.
class HeadedTask final : public AdapterTask {
 public:
  /// `label_names`: of the head, for the figures of entities. `adapter` has to be active and
  /// trainable.
  HeadedTask(HeadedModel model, std::vector<std::string> label_names,
             const std::string& adapter = "default");

  at::Tensor loss_sum(const train::Batch& batch) override;
  void begin_evaluation() override;
  train::Metrics metrics() override;

 private:
  at::Tensor loss_of(PeftModelForSequenceClassification& model, const EncoderInput& input,
                     const train::Batch& batch);
  at::Tensor loss_of(PeftModelForTokenClassification& model, const EncoderInput& input,
                     const train::Batch& batch);
  at::Tensor loss_of(PeftModelForQuestionAnswering& model, const EncoderInput& input,
                     const train::Batch& batch);
  template <typename Meter, typename... Arguments>
  Meter& meter(Arguments&&... arguments);

  HeadedModel model_;
  std::vector<std::string> label_names_;
  std::unique_ptr<TaskMeter> meter_;  // null: nothing was measured yet
};

}  // namespace peft
