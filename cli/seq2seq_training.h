#pragma once

#include "cli/headed_training.h"
#include "peft/peft_model_for_seq2seq_lm.h"

namespace peft::cli {

/// An encoder-decoder with its tokenizer.
struct Seq2SeqBase {
  Seq2SeqModel model = {};
  std::shared_ptr<const ChatTokenizer> text = {};
};
Seq2SeqBase open_seq2seq(const ModelOptions& options);

/// Trains an adapter of an encoder-decoder on rows with a source and a target: see Seq2SeqTask.
/// Throws: what reading rows, opening the model and the trainer throw.
TrainOutcome train_seq2seq(HeadedTraining training, const Console& console);

/// Writes a target for each source, in order.
std::vector<std::string> write_targets(PeftModelForSeq2SeqLM& model, const ChatTokenizer& text,
                                       const std::vector<train::TaskRow>& rows, int64_t max_length,
                                       int64_t max_new_tokens);

}  // namespace peft::cli
