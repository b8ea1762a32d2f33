#pragma once

#include <map>
#include <string>

#include "tests/front/any_task_model.h"
#include "tests/models/contract.h"

namespace peft::test {

/// The task_type of the class that adapts a model of a task.
inline std::string task_type_of(ModelTask task) {
  static const std::map<ModelTask, std::string> types = {
      {ModelTask::kBody, "FEATURE_EXTRACTION"},
      {ModelTask::kCausalLM, "CAUSAL_LM"},
      {ModelTask::kSeq2SeqLM, "SEQ_2_SEQ_LM"},
      {ModelTask::kSequenceClassification, "SEQ_CLS"},
      {ModelTask::kTokenClassification, "TOKEN_CLS"},
      {ModelTask::kQuestionAnswering, "QUESTION_ANS"}};
  return types.at(task);
}

/// Two rows, padded on the right, with the labels that their tokens are; heads have none.
inline TaskBatch batch_of(const Contract& contract) {
  const auto given = contract.padded_input();
  TaskBatch batch{.ids = given.ids, .mask = given.mask, .decoder_mask = given.decoder_mask};
  if (contract.has("token_type_ids")) batch.types = contract["token_type_ids"];
  if (contract.task == ModelTask::kCausalLM) {
    batch.labels = batch.ids.masked_fill(batch.mask.eq(0), -100);
  }
  if (contract.task == ModelTask::kSeq2SeqLM) {
    batch.labels = given.decoder_ids.masked_fill(given.decoder_mask.eq(0), -100);
  }
  return batch;
}

}  // namespace peft::test
