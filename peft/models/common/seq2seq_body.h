#pragma once

#include <torch/nn/modules/embedding.h>

#include <optional>
#include <string>

#include "peft/models/common/seq2seq_attention.h"

namespace peft {

/// An encoder-decoder without a head, as T5Model, or its encoder alone, as T5EncoderModel. Its
/// states are the decoder's, of an encoder alone the encoder's.
class Seq2SeqBodyImpl : public EncoderModelImpl {
 public:
  /// The modules `shared`, `encoder` and `decoder`.
  struct Parts {
    torch::nn::Embedding shared{nullptr};
    Seq2SeqStack encoder = {}, decoder = {};  // null decoder: an encoder alone
  };
  struct Facts {
    std::string prefix = {};  // its name below a head
    ModelShape shape = {};
    int64_t decoder_layers = 0;
    std::optional<int64_t> pad_token_id = {}, decoder_start_token_id = {};
    int64_t padding_row = -1;      // of the embedding, which gets no gradient; -1: none
    double embedding_scale = 1.0;  // of the embedding's rows
    bool makes_target = false;     // reads input_ids behind the start token where nothing is given
  };
  Seq2SeqBodyImpl(Json config, Facts facts, Parts parts);

  /// Throws: ConfigError where the decoder has nothing to read, or an encoder alone gets something
  /// for one.
  EncoderOutput forward(const EncoderInput& input) override;

  /// As Seq2SeqModelImpl has them.
  at::Tensor encode(const EncoderInput& input);
  at::Tensor decode(const Seq2SeqInput& input);
  at::Tensor shift_right(const at::Tensor& ids) const;
  int64_t decoder_start_token_id() const;
  int64_t decoder_layers() const { return facts_.decoder_layers; }

  /// The same input where the decoder has something to read, else with input_ids behind the start
  /// token for it.
  /// Throws: ConfigError where there are no input_ids either.
  EncoderInput with_target(const EncoderInput& input) const;

  /// Makes them modules of another model, in whose keys they have no prefix.
  void register_parts(torch::nn::Module& owner) const;

  const at::Tensor& embedding_weight() const { return parts_.shared->weight; }
  at::Tensor embed(const at::Tensor& ids) override;
  ModelShape shape() const override { return facts_.shape; }
  const Json& config() const override { return json_; }
  std::string base_model_prefix() const override { return facts_.prefix; }
  /// The copies of the embedding that both parts have in transformers.
  bool may_ignore(const std::string& key) const override;
  void set_gradient_checkpointing(bool on) override { checkpointing_ = on; }
  bool is_gradient_checkpointing() const override { return checkpointing_; }

  /// Makes config() say so.
  void set_config(const std::string& key, Json value) { json_[key] = std::move(value); }

 private:
  bool recomputes() const;

  Json json_;
  Facts facts_;
  Parts parts_;
  bool checkpointing_ = false;
};
using Seq2SeqBody = std::shared_ptr<Seq2SeqBodyImpl>;

}  // namespace peft
