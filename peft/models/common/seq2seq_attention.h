#pragma once

#include <torch/nn/modules/linear.h>

#include <functional>
#include <utility>

#include "peft/models/common/attention.h"
#include "peft/models/common/seq2seq_model.h"

/// What the layers of encoder-decoders share, under whatever names a family gives its parts.
/// Legend: B rows, T tokens, S source tokens, H heads, D head width.
namespace peft {

/// What all layers of one forward of an encoder or a decoder see.
struct Seq2SeqContext {
  AttentionMask own = {};     // of its own tokens
  AttentionMask source = {};  // of the encoder's states
  at::Tensor states = {};     // [B, S, hidden]: of the encoder; undefined: in the cache, or none
  Seq2SeqCache* cache = nullptr;
};

/// Multi-head attention to its own tokens or to an encoder's states.
class Seq2SeqAttentionImpl : public torch::nn::Module {
 public:
  struct Sizes {
    int64_t hidden = 0, heads = 0, width = 0;  // width: D; heads * width need not be hidden
    bool bias = true;                          // of the projections
    double scale = 1.0;                        // of the scores
    double dropout = 0.0;                      // of the weights, in training
  };
  /// What a family calls the four projections.
  struct Names {
    const char *query, *key, *value, *output;
  };
  /// `layer`: its keys' and values' place in a cache.
  Seq2SeqAttentionImpl(const Sizes& sizes, const Names& names, int64_t layer,
                       at::TensorOptions options);

  /// x [B, T, hidden] -> the same shape
  at::Tensor to_itself(const at::Tensor& x, const Seq2SeqContext& context);
  /// The same over the encoder's states, whose keys and values a cache keeps.
  at::Tensor to_source(const at::Tensor& x, const Seq2SeqContext& context);

 private:
  using KeysAndValues = std::pair<at::Tensor, at::Tensor>;
  at::Tensor heads(const at::Tensor& x, const torch::nn::Linear& layer) const;
  KeysAndValues keys_and_values(const at::Tensor& x) const;
  at::Tensor attend_with(const at::Tensor& x, const KeysAndValues& keys, const AttentionMask& mask);

  torch::nn::Linear query_{nullptr}, key_{nullptr}, value_{nullptr}, output_{nullptr};
  Sizes sizes_;
  int64_t layer_;
};

/// The encoder or the decoder, without the embedding of tokens that both share.
class Seq2SeqStackImpl : public torch::nn::Module {
 public:
  ///   embedded [B, T, hidden] -> the same shape; recompute: in backward, layer by layer
  /// Throws: ConfigError for more tokens than the model has positions for.
  virtual at::Tensor forward(const at::Tensor& embedded, const Seq2SeqContext& context,
                             bool recompute) = 0;
};
using Seq2SeqStack = std::shared_ptr<Seq2SeqStackImpl>;

/// One layer of a stack.  layer(x, context); make_context(): what it sees, which is made again too
/// where its activations are.
///   x [B, T, hidden], states: the encoder's, or undefined -> [B, T, hidden]
at::Tensor recompute_layer(
    std::function<at::Tensor(const at::Tensor& x, const Seq2SeqContext& context)> layer,
    std::function<Seq2SeqContext()> make_context, const at::Tensor& x, const at::Tensor& states);

}  // namespace peft
