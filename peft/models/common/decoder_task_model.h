#pragma once

#include <optional>
#include <string>

#include "peft/models/common/config_reader.h"
#include "peft/models/common/decoder_model.h"
#include "peft/models/common/encoder_task_model.h"

namespace peft {

/// What a family calls its heads, and which it has.
struct DecoderHeads {
  std::string token_classifier = "score";  // empty: the family has no token classification
  bool token_bias = true;                  // whether that one has a bias
  double token_dropout = 0.1;              // of the states it reads, in training
  std::optional<int64_t> padding = {};     // the padding token where config.json is silent
};

/// A decoder with a linear layer over its hidden states: `score` for sequence classification,
/// `classifier` or `score` for token classification, `qa_outputs` for question answering.
///
/// A sequence is judged by its last token that is not padding; that is the last one where
/// embeddings stand in for the tokens, or where config.json names no pad_token_id.
/// Source: transformers/modeling_layers.py, GenericForSequenceClassification and its kin.
class DecoderTaskModelImpl final : public EncoderTaskModelImpl {
 public:
  /// Throws: ConfigError where config.json has a wrong pad_token_id or wrong labels.
  DecoderTaskModelImpl(DecoderModel body, ModelTask task, const DecoderHeads& heads,
                       at::TensorOptions options);

  /// Throws also: ConfigError for more than one sequence where config.json names no pad_token_id.
  at::Tensor forward(const EncoderInput& input) override;

 protected:
  at::Tensor head(const EncoderOutput& output) override;

 private:
  torch::nn::Linear layer_;
  double dropout_ = 0.0;
  std::optional<int64_t> padding_;
};

/// The dropout before token classification where config.json may name one: `classifier_dropout`,
/// else `hidden_dropout`, else 0.1.
/// Throws: ConfigError where it is not a number from 0 to 1.
double read_token_dropout(const ConfigReader& config);

/// The model of a body for a task other than language modelling: the body itself, or a task model.
/// Null where the family has none.
PretrainedModel make_decoder_model(const DecoderModel& body, ModelTask task,
                                   const DecoderHeads& heads, at::TensorOptions options);

}  // namespace peft
