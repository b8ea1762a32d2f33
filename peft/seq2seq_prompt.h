#pragma once

#include <memory>

#include "peft/models/common/seq2seq_model.h"
#include "peft/prompt_learning.h"

namespace peft {

/// What a call of an encoder-decoder becomes with a prompt before its tokens.
struct PreparedSeq2SeqInputs {
  Seq2SeqInput input = {};                   // its cache is the one below
  std::shared_ptr<Seq2SeqCache> cache = {};  // the caller's own, or one with the prompt in it
};

/// Puts the active adapter's prompt before the tokens: keys and values into the decoder's cache,
/// where the caller's is empty or there is none; embeddings before those of the source, and for
/// multitask prompt tuning the second half of them before those of the target. Masks make room for
/// what stands before their tokens. Where the cache knows the source, or its states are given, it
/// has its prompt already.
/// Throws: what get_prompt throws.
/// Source: PeftModelForSeq2SeqLM.forward in peft/peft_model.py.
PreparedSeq2SeqInputs put_prompt(const Tuner& tuner, const Seq2SeqInput& input,
                                 const at::Tensor& task_ids = {});

/// How many tokens of the active adapter's prompt stand before those of the target: where labels
/// need as many places that are none.
int64_t active_target_tokens(const Tuner& tuner);

/// The encoder-decoder of a tuner's tree.  Throws: UnsupportedError where it is none.
Seq2SeqModelImpl& seq2seq_model_of(const Tuner& tuner);

/// An encoder-decoder with the active adapter's prompt before the tokens of the source, or in the
/// decoder's cache, for who knows nothing of prompts: generation. As the adapters change, so does
/// it. As in Python, targets that are generated have no prompt of embeddings.
class PromptedSeq2SeqModelImpl final : public Seq2SeqModelImpl {
 public:
  /// `task_ids` [B]: of the rows of a batch.
  PromptedSeq2SeqModelImpl(std::shared_ptr<Tuner> tuner, at::Tensor task_ids = {});

  at::Tensor encode(const EncoderInput& input) override;
  at::Tensor decode(const Seq2SeqInput& input) override;
  at::Tensor head(const at::Tensor& hidden) override { return model_.head(hidden); }
  at::Tensor head_bias() const override { return model_.head_bias(); }
  at::Tensor head_weight() const override { return model_.head_weight(); }
  void untie_head(const at::Tensor& weight) override { model_.untie_head(weight); }
  at::Tensor embed(const at::Tensor& ids) override { return model_.embed(ids); }
  at::Tensor shift_right(const at::Tensor& labels) const override {
    return model_.shift_right(labels);
  }
  int64_t decoder_start_token_id() const override { return model_.decoder_start_token_id(); }
  int64_t decoder_layers() const override { return model_.decoder_layers(); }
  /// With room for the prompt beside `max_length` tokens.
  std::unique_ptr<KeyValueCache> new_static_cache(int64_t max_length) const override;
  ModelShape shape() const override { return model_.shape(); }
  const Json& config() const override { return model_.config(); }
  void set_gradient_checkpointing(bool on) override { model_.set_gradient_checkpointing(on); }
  bool is_gradient_checkpointing() const override { return model_.is_gradient_checkpointing(); }

 private:
  std::shared_ptr<Tuner> tuner_;
  Seq2SeqModelImpl& model_;  // of the tuner's tree
  at::Tensor task_ids_;
};

}  // namespace peft
