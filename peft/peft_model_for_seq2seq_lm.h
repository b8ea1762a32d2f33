#pragma once

#include <filesystem>
#include <vector>

#include "peft/generate/generate.h"
#include "peft/models/common/seq2seq_model.h"
#include "peft/seq2seq_prompt.h"
#include "peft/task_call.h"

namespace peft {

/// An encoder-decoder that predicts the next token of a target, with adapters. Legend: B rows, T
/// target tokens, N virtual tokens, V vocabulary.
///
/// Source: PeftModelForSeq2SeqLM in peft/peft_model.py.
class PeftModelForSeq2SeqLM : public PeftModelFor<Seq2SeqModel> {
 public:
  using PeftModelFor<Seq2SeqModel>::PeftModelFor;

  static PeftModelForSeq2SeqLM from_pretrained(Seq2SeqModel model,
                                               const std::filesystem::path& folder,
                                               const FromPretrainedOptions& options = {}) {
    return PeftModelForSeq2SeqLM(std::move(model), folder, options);
  }

  /// Logits of every position of the target, those of a prompt before its tokens included.
  /// -> [B, T, V] or, for multitask prompt tuning, [B, N + T, V]
  /// Throws: what TaskScope and the model throw.
  at::Tensor forward(const Seq2SeqInput& input, const TaskCall& call = {});

  /// Mean of the cross-entropy over the labels that are not -100. Where the input has no decoder's
  /// tokens, they are the labels, shifted.  labels [B, T] -> scalar float32
  at::Tensor loss(const Seq2SeqInput& input, const at::Tensor& labels, const TaskCall& call = {});

  /// The sum over the labels instead.
  at::Tensor loss_sum(const Seq2SeqInput& input, const at::Tensor& labels,
                      const TaskCall& call = {});

  /// What the model reads in one step of a generation: the last token alone once the cache has
  /// those before it; a cache that is empty gets a prefix. Prompts of embeddings are put before the
  /// source when it is encoded, not here.
  /// Source: PeftModelForSeq2SeqLM.prepare_inputs_for_generation in peft/peft_model.py.
  PreparedSeq2SeqInputs prepare_inputs_for_generation(const Seq2SeqInput& input) const;

  /// Writes a target for each source: see peft::generate. `call.adapter_names`: of each source,
  /// where they differ.
  std::vector<Continuation> generate(const std::vector<std::vector<int64_t>>& sources,
                                     const GenerateOptions& options = {},
                                     const TaskCall& call = {});
};

}  // namespace peft
