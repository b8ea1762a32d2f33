#pragma once

#include <memory>
#include <string>
#include <variant>

#include "peft/base/error.h"
#include "peft/peft_model_for_causal_lm.h"
#include "peft/peft_model_for_feature_extraction.h"
#include "peft/peft_model_for_question_answering.h"
#include "peft/peft_model_for_seq2seq_lm.h"
#include "peft/peft_model_for_sequence_classification.h"
#include "peft/peft_model_for_token_classification.h"

namespace peft::test {

/// What a model of any task may be given, and the answers that its loss compares with; a model
/// takes of it what it knows. Legend: B rows, T tokens.
struct TaskBatch {
  at::Tensor ids = {}, mask = {}, types = {};  // [B, T]
  at::Tensor decoder_mask = {};                // as the labels of an encoder-decoder
  at::Tensor labels = {};                      // [B, T], or one or more a row
  at::Tensor start = {}, end = {};             // [B]
  at::Tensor task_ids = {};                    // [B]

  LanguageModelInput text() const { return {.input_ids = ids, .attention_mask = mask}; }
  EncoderInput sequence() const {
    return {.input_ids = ids, .attention_mask = mask, .token_type_ids = types};
  }
  Seq2SeqInput pair() const {
    return {.encoder = {.input_ids = ids, .attention_mask = mask},
            .decoder_attention_mask = decoder_mask};
  }
};

/// An adapted model of the class that a task_type names.
class AnyTaskModel {
 public:
  /// `rest`: a config, or a folder and options, as the classes take them.
  /// Throws: what the class throws.
  template <typename... Rest>
  AnyTaskModel(const PretrainedModel& base, const std::string& task_type, const Rest&... rest)
      : model_(open(base, task_type, rest...)) {}

  PeftModel& operator*() {
    return std::visit([](PeftModel& model) -> PeftModel& { return model; }, model_);
  }
  PeftModel* operator->() { return &**this; }

  /// Logits; of a body its states; for an encoder-decoder those of the labels, shifted.
  at::Tensor scores(const TaskBatch& batch) {
    return std::visit([&](auto& model) { return scores_of(model, batch); }, model_);
  }
  /// The loss of the class; of a body the mean of its squared states.
  at::Tensor loss(const TaskBatch& batch) {
    return std::visit([&](auto& model) { return loss_of(model, batch); }, model_);
  }

 private:
  using Reader = PeftModelForFeatureExtraction;
  using Answers = PeftModelForQuestionAnswering;
  using Model =
      std::variant<PeftModelForCausalLM, PeftModelForSeq2SeqLM, PeftModelForSequenceClassification,
                   PeftModelForTokenClassification, Answers, Reader>;

  template <typename Class, typename Base, typename... Rest>
  static Model as(const PretrainedModel& base, const Rest&... rest) {
    auto model = std::dynamic_pointer_cast<Base>(base);
    if (!model) throw ConfigError("the base model is for another task");
    return Class(std::move(model), rest...);
  }

  template <typename... Rest>
  static Model open(const PretrainedModel& base, const std::string& task, const Rest&... rest) {
    if (task == "CAUSAL_LM") return as<PeftModelForCausalLM, LanguageModelImpl>(base, rest...);
    if (task == "SEQ_2_SEQ_LM") return as<PeftModelForSeq2SeqLM, Seq2SeqModelImpl>(base, rest...);
    if (task == "SEQ_CLS") {
      return as<PeftModelForSequenceClassification, TaskModelImpl>(base, rest...);
    }
    if (task == "TOKEN_CLS") {
      return as<PeftModelForTokenClassification, TaskModelImpl>(base, rest...);
    }
    if (task == "QUESTION_ANS") return as<Answers, TaskModelImpl>(base, rest...);
    return as<Reader, EncoderModelImpl>(base, rest...);
  }

  static at::Tensor scores_of(PeftModelForCausalLM& model, const TaskBatch& batch) {
    return model.forward(batch.text(), CausalLMCall{.task_ids = batch.task_ids});
  }
  static at::Tensor scores_of(PeftModelForSeq2SeqLM& model, const TaskBatch& batch) {
    Seq2SeqInput input = batch.pair();
    input.decoder_input_ids = model.get_base_model()->shift_right(batch.labels);
    return model.forward(input, {.task_ids = batch.task_ids});
  }
  static at::Tensor scores_of(Reader& model, const TaskBatch& batch) {
    return model.forward(batch.sequence(), {.task_ids = batch.task_ids}).last_hidden_state;
  }
  template <typename Headed>
  static at::Tensor scores_of(Headed& model, const TaskBatch& batch) {
    return model.forward(batch.sequence(), {.task_ids = batch.task_ids});
  }

  static at::Tensor loss_of(PeftModelForCausalLM& model, const TaskBatch& batch) {
    return model.loss(batch.text(), batch.labels, CausalLMCall{.task_ids = batch.task_ids});
  }
  static at::Tensor loss_of(PeftModelForSeq2SeqLM& model, const TaskBatch& batch) {
    return model.loss(batch.pair(), batch.labels, {.task_ids = batch.task_ids});
  }
  static at::Tensor loss_of(Answers& model, const TaskBatch& batch) {
    return model.loss(batch.sequence(), batch.start, batch.end, {.task_ids = batch.task_ids});
  }
  static at::Tensor loss_of(Reader& model, const TaskBatch& batch) {
    return scores_of(model, batch).square().mean();
  }
  template <typename Headed>
  static at::Tensor loss_of(Headed& model, const TaskBatch& batch) {
    return model.loss(batch.sequence(), batch.labels, {.task_ids = batch.task_ids});
  }

  Model model_;
};

}  // namespace peft::test
