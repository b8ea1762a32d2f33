#pragma once

#include <string_view>

#include "peft/models/common/pretrained_model.h"

namespace peft {

/// One call of a model that reads whole sequences. Legend: B rows, T tokens, S tokens in the cache.
struct EncoderInput {
  at::Tensor input_ids = {};       // [B, T] int64; this or inputs_embeds
  at::Tensor inputs_embeds = {};   // [B, T, hidden]
  at::Tensor attention_mask = {};  // [B, S + T], 1 = token, 0 = padding; undefined: no padding
  at::Tensor token_type_ids = {};  // [B, T] int64; undefined: zeros, where the model has types
  at::Tensor position_ids = {};    // [B, T]; undefined: counted as transformers counts them
  KeyValueCache* cache = nullptr;  // not owned; keys and values of a prefix, which all tokens see

  // What the decoder of an encoder-decoder reads, as in Seq2SeqInput; undefined: input_ids behind
  // the start token, where the model makes that by itself.
  at::Tensor decoder_input_ids = {};
  at::Tensor decoder_inputs_embeds = {};
  at::Tensor decoder_attention_mask = {};

  /// The same tensors on a device.
  EncoderInput to(at::Device device) const;
};

/// Throws: ConfigError where neither or both of a call's tokens and embeddings are given.
///   names: what the caller calls the two, with the part of the model that reads them
void check_one_of(const at::Tensor& ids, const at::Tensor& embeds, std::string_view names);

/// Throws: ConfigError where something is given for a decoder, as the model has none beside its
/// encoder.
void refuse_target(const EncoderInput& input);

/// Both checks of a model that reads input_ids or inputs_embeds alone.
void check_one_input(const EncoderInput& input);

/// Legend: B rows, T tokens.
struct EncoderOutput {
  at::Tensor last_hidden_state = {};  // [B, T, hidden]
  at::Tensor pooler_output = {};      // [B, hidden]; undefined: the model has no pooler
};

/// The body of a model without a head, whatever it was trained for.
class EncoderModelImpl : public PretrainedModelImpl {
 public:
  /// Throws: ConfigError where neither or both of input_ids and inputs_embeds are given.
  virtual EncoderOutput forward(const EncoderInput& input) = 0;

  /// The pooler is trained with a head, and models without one have none.
  bool may_lack(const std::string& parameter) const override;
};
using EncoderModel = std::shared_ptr<EncoderModelImpl>;

/// A body with a head for classes of rows, classes of tokens, or the borders of an answer.
class TaskModelImpl : public PretrainedModelImpl {
 public:
  virtual ModelTask task() const = 0;

  /// Number of labels L; 2 (start, end) for question answering.
  virtual int64_t num_labels() const = 0;

  /// -> [B, L] for sequences, [B, T, L] for tokens, [B, T, 2] for question answering.
  /// Throws: ConfigError where neither or both of input_ids and inputs_embeds are given.
  virtual at::Tensor forward(const EncoderInput& input) = 0;

  /// The head and the pooler below it.
  bool may_lack(const std::string& parameter) const override;
};
using TaskModel = std::shared_ptr<TaskModelImpl>;

}  // namespace peft
