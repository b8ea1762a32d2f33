#pragma once

#include "peft/models/common/encoder_model.h"

namespace peft {

/// Keys and values of a decoder that also looks at an encoder's states: those of its own tokens,
/// and those of the encoder's states, which are made once.
struct Seq2SeqCache {
  std::unique_ptr<KeyValueCache> self_attention = {};
  std::unique_ptr<KeyValueCache> cross_attention = {};

  /// Keeps the given rows, in this order.  rows [B'], int64.
  void select_rows(const at::Tensor& rows);
};

/// One call of an encoder-decoder. Legend: B rows, S source tokens, T new target tokens, P target
/// tokens in the cache.
struct Seq2SeqInput {
  EncoderInput encoder = {};               // ignored where encoder_states are given
  at::Tensor encoder_states = {};          // [B, S, hidden]; undefined: made from `encoder`
  at::Tensor decoder_input_ids = {};       // [B, T]; this or decoder_inputs_embeds
  at::Tensor decoder_inputs_embeds = {};   // [B, T, hidden]
  at::Tensor decoder_attention_mask = {};  // [B, P + T]; undefined: no padding
  Seq2SeqCache* cache = nullptr;           // not owned
};

/// An encoder-decoder that predicts the next target token. `encoder.attention_mask` masks the
/// source in both parts.
class Seq2SeqModelImpl : public PretrainedModelImpl {
 public:
  /// States of the source.  -> [B, S, hidden]
  virtual at::Tensor encode(const EncoderInput& input) = 0;

  /// Hidden states of the target, ready for the head.  -> [B, T, hidden]
  virtual at::Tensor decode(const Seq2SeqInput& input) = 0;

  /// Scores of the next target token.  hidden [..., hidden] -> [..., V]
  virtual at::Tensor head(const at::Tensor& hidden) = 0;

  /// What the decoder reads where `labels` are to be predicted: them, shifted to the right behind
  /// the start token, with padding in place of -100.  labels [B, T] -> [B, T]
  virtual at::Tensor shift_right(const at::Tensor& labels) const = 0;

  /// The token that a target begins with.
  virtual int64_t decoder_start_token_id() const = 0;

  virtual std::unique_ptr<Seq2SeqCache> new_seq2seq_cache() const = 0;

  /// Logits of every target position.  -> [B, T, V]
  at::Tensor forward(const Seq2SeqInput& input) { return head(decode(input)); }
};
using Seq2SeqModel = std::shared_ptr<Seq2SeqModelImpl>;

}  // namespace peft
