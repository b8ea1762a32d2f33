#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/adapted_model.h"
#include "peft/peft_model_for_seq2seq_lm.h"
#include "peft/train/task_row.h"

namespace peft::cli {

/// True where a checkpoint's model writes a target behind a source that it has read as a whole.
bool is_encoder_decoder(const Json& model_config);

/// An encoder-decoder with its tokenizer.
struct Seq2SeqBase {
  Seq2SeqModel model = {};
  std::shared_ptr<const ChatTokenizer> text = {};
  GenerateOptions generation = {};  // stop tokens, padding and forced tokens of the checkpoint
};

/// `checkpoint`: that of the options where it is open already.
Seq2SeqBase open_seq2seq(const ModelOptions& options,
                         std::shared_ptr<formats::Checkpoint> checkpoint = nullptr);

/// The base with adapters for inference, the first one active; nullopt where there are none.
/// Their folders are local ones: see local_adapter.
/// Throws: what from_pretrained throws; ConfigError where `options.task_id` is none of the first
/// one's tasks.
std::optional<PeftModelForSeq2SeqLM> put_adapters(const Seq2SeqBase& base,
                                                  const ModelOptions& options,
                                                  const std::vector<NamedAdapter>& adapters);

/// Writes a target for each source, in order.
std::vector<std::string> write_targets(PeftModelForSeq2SeqLM& model, const Seq2SeqBase& base,
                                       const std::vector<train::TaskRow>& rows, int64_t max_length,
                                       int64_t max_new_tokens);

}  // namespace peft::cli
