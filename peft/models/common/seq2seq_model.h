#pragma once

#include <utility>

#include "peft/models/common/attention.h"
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
  EncoderInput encoder = {};               // without ids and embeddings where states are given
  at::Tensor encoder_states = {};          // [B, S, hidden]; undefined: made from `encoder`
  at::Tensor decoder_input_ids = {};       // [B, T]; this or decoder_inputs_embeds
  at::Tensor decoder_inputs_embeds = {};   // [B, T, hidden]
  at::Tensor decoder_attention_mask = {};  // [B, P + T]; undefined: no padding
  Seq2SeqCache* cache = nullptr;           // not owned

  /// The same tensors on a device.
  Seq2SeqInput to(at::Device device) const;

  /// Whether the cache has the keys and values of the source already, so that its states are not
  /// needed again.
  bool knows_source() const;
};

/// An encoder-decoder that predicts the next target token. `encoder.attention_mask` masks the
/// source in both parts.
class Seq2SeqModelImpl : public PretrainedModelImpl {
 public:
  /// States of the source.  -> [B, S, hidden]
  /// Throws: ConfigError where neither or both of input_ids and inputs_embeds are given.
  virtual at::Tensor encode(const EncoderInput& input) = 0;

  /// Hidden states of the target, ready for the head.  -> [B, T, hidden]
  /// Throws: ConfigError where neither or both of decoder_input_ids and decoder_inputs_embeds are
  /// given.
  virtual at::Tensor decode(const Seq2SeqInput& input) = 0;

  /// Scores of the next target token.  hidden [..., hidden] -> [..., V]
  virtual at::Tensor head(const at::Tensor& hidden) = 0;

  /// What is added to them, [1, V]; undefined or zero: nothing.
  virtual at::Tensor head_bias() const { return {}; }

  std::string head_name() const override { return "lm_head"; }
  at::Tensor head_weight() const override = 0;
  void untie_head(const at::Tensor& weight) override = 0;

  /// A copy of the embedding where it is the head.
  bool may_ignore(const std::string& key) const override;

  /// What the decoder reads where `labels` are to be predicted: them, shifted to the right behind
  /// the start token, with padding in place of -100.  labels [B, T] -> [B, T]
  /// Throws: ConfigError where the config names no start token or no padding token.
  virtual at::Tensor shift_right(const at::Tensor& labels) const = 0;

  /// The token that a target begins with.
  /// Throws: ConfigError where the config names none.
  virtual int64_t decoder_start_token_id() const = 0;

  /// Layers of the decoder.
  virtual int64_t decoder_layers() const = 0;

  /// An empty cache of keys and values of the decoder.
  std::unique_ptr<KeyValueCache> new_cache() const override;

  /// The same for `max_length` target tokens, whose memory is taken once.
  std::unique_ptr<KeyValueCache> new_static_cache(int64_t max_length) const override;

  /// An empty cache of both kinds. `max_length`: see new_static_cache; 0: it grows.
  std::unique_ptr<Seq2SeqCache> new_seq2seq_cache(int64_t max_length = 0) const;

  /// Logits of every target position.  -> [B, T, V]
  at::Tensor forward(const Seq2SeqInput& input) { return head(decode(input)); }

  /// Sum of the cross-entropy over the labels that are not -100; where the input has no decoder's
  /// tokens, they are the labels, shifted. Computed in chunks, so that the logits of a whole batch
  /// never exist.
  ///   labels [B, T] int64 -> scalar float32
  at::Tensor loss_sum(const Seq2SeqInput& input, const at::Tensor& labels);
};
using Seq2SeqModel = std::shared_ptr<Seq2SeqModelImpl>;

/// Labels, shifted to the right behind `start`, with `padding` in place of -100.
/// Throws: ConfigError where one of the two is not known.
/// Source: shift_tokens_right in transformers/models/bart/modeling_bart.py.
at::Tensor shift_tokens_right(const at::Tensor& labels, std::optional<int64_t> padding,
                              std::optional<int64_t> start);

/// Throws: ConfigError where the config names no token that targets begin with.
int64_t known_start_token(std::optional<int64_t> decoder_start_token_id);

/// What an encoder's tokens see of each other.  embedded [B, S, hidden]
AttentionMask encoder_mask(const EncoderInput& input, const at::Tensor& embedded);

/// What the decoder's tokens see of each other, and of the source.
///   states [B, S, hidden]: the encoder's; undefined: the cache knows them. embedded [B, T, hidden]
std::pair<AttentionMask, AttentionMask> decoder_masks(const Seq2SeqInput& input,
                                                      const at::Tensor& states,
                                                      const at::Tensor& embedded);

}  // namespace peft
