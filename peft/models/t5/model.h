#pragma once

#include <torch/nn/modules/container/modulelist.h>

#include <memory>
#include <vector>

#include "peft/models/common/layers.h"
#include "peft/models/common/rms_norm.h"
#include "peft/models/common/seq2seq_language_model.h"
#include "peft/models/t5/config.h"
#include "peft/models/t5/position_bias.h"

namespace peft::t5 {

/// Multi-head attention without a scale: `SelfAttention` and `EncDecAttention` of a layer.
/// Source: transformers/models/t5/modeling_t5.py, T5Attention.
class AttentionImpl final : public Seq2SeqAttentionImpl {
 public:
  /// `biased`: it holds the position bias of the stack.
  AttentionImpl(const T5Config& config, int64_t layer, bool biased, at::TensorOptions options);

  torch::nn::Embedding relative_attention_bias{nullptr};
};
TORCH_MODULE(Attention);

/// The feed-forward network: `DenseReluDense` of a layer. In float16 `wo` stays in float32, where
/// its sums do not overflow.
/// Source: T5DenseActDense and T5DenseGatedActDense.
class DenseImpl : public torch::nn::Module {
 public:
  DenseImpl(const T5Config& config, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Linear wi{nullptr}, wi_0{nullptr}, wi_1{nullptr}, wo{nullptr};

 private:
  Activation activation_;
  double dropout_;
};
TORCH_MODULE(Dense);

/// A norm with what follows it, added to its input: one entry of a block's `layer`.
class LayerImpl : public torch::nn::Module {
 public:
  enum class Kind { kItself, kSource, kDense };
  LayerImpl(const T5Config& config, Kind kind, int64_t layer, bool biased,
            at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const Seq2SeqContext& context);

  Attention attention{nullptr};
  Dense dense{nullptr};
  RmsNorm layer_norm{nullptr};

 private:
  at::Tensor inner(const at::Tensor& normed, const Seq2SeqContext& context);

  Kind kind_;
  double dropout_, epsilon_;
};
TORCH_MODULE(Layer);

/// One block of the encoder or of the decoder.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const T5Config& config, bool decodes, int64_t number, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const Seq2SeqContext& context);

  torch::nn::ModuleList layer;

 private:
  std::vector<Layer> layers_;
};
TORCH_MODULE(Block);

/// The encoder or the decoder.
class StackImpl final : public Seq2SeqStackImpl {
 public:
  StackImpl(const T5Config& config, bool decodes, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& embedded, const Seq2SeqContext& context,
                     bool recompute) override;

  torch::nn::ModuleList block;
  RmsNorm final_layer_norm{nullptr};

 private:
  at::Tensor bias(int64_t tokens, int64_t past) const;

  std::vector<Block> blocks_;
  PositionBuckets buckets_;
  double dropout_, epsilon_;
};

/// T5 and mT5 without a head: `transformer` in the keys of a model for classes.
class T5ModelImpl final : public Seq2SeqBodyImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  T5ModelImpl(const Json& json, const T5Config& config, at::TensorOptions options);

  bool may_ignore(const std::string& key) const override;
};

/// Their encoder alone.
class T5EncoderModelImpl final : public Seq2SeqBodyImpl {
 public:
  T5EncoderModelImpl(const Json& json, const T5Config& config, at::TensorOptions options);

  /// Also everything of a decoder.
  bool may_ignore(const std::string& key) const override;
};

/// T5 and mT5 as a sequence-to-sequence model.
class T5ForConditionalGenerationImpl final : public Seq2SeqLanguageModelImpl {
 public:
  T5ForConditionalGenerationImpl(const std::shared_ptr<T5ModelImpl>& body, const T5Config& config,
                                 at::TensorOptions options);

  at::Tensor decode(const Seq2SeqInput& input) override;
  void untie_head(const at::Tensor& weight) override;
  /// Where the checkpoint has no head it is the embedding, whatever the config says.
  void meet(const WeightSource& checkpoint) override;

 private:
  double scale_;  // of the decoder's states
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::t5
