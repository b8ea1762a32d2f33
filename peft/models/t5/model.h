#pragma once

#include <torch/nn/modules/container/modulelist.h>

#include <vector>

#include "peft/models/common/attention.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/rms_norm.h"
#include "peft/models/common/seq2seq_model.h"
#include "peft/models/t5/config.h"
#include "peft/models/t5/position_bias.h"

namespace peft::t5 {

/// What all blocks of one forward of a stack share.
struct StackContext {
  AttentionMask own = {};     // of its own tokens, with the position bias
  AttentionMask source = {};  // of the encoder's states
  at::Tensor states = {};     // [B, S, hidden]: of the encoder; undefined: in the cache, or none
  Seq2SeqCache* cache = nullptr;
};

/// Multi-head attention without a scale, to its own tokens or to an encoder's states:
/// `SelfAttention` and `EncDecAttention` of a layer.
/// Source: transformers/models/t5/modeling_t5.py, T5Attention.
class AttentionImpl : public torch::nn::Module {
 public:
  /// `biased`: it holds the position bias of the stack.
  AttentionImpl(const T5Config& config, int64_t layer, bool biased, at::TensorOptions options);
  at::Tensor to_itself(const at::Tensor& x, const StackContext& context);
  at::Tensor to_source(const at::Tensor& x, const StackContext& context);

  torch::nn::Linear q{nullptr}, k{nullptr}, v{nullptr}, o{nullptr};
  torch::nn::Embedding relative_attention_bias{nullptr};

 private:
  at::Tensor heads(const at::Tensor& x, const torch::nn::Linear& layer) const;
  at::Tensor attend_with(const at::Tensor& x, const std::pair<at::Tensor, at::Tensor>& keys,
                         const AttentionMask& mask);

  int64_t layer_, width_;
  double dropout_;
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
  at::Tensor forward(const at::Tensor& x, const StackContext& context);

  Attention attention{nullptr};
  Dense dense{nullptr};
  RmsNorm layer_norm{nullptr};

 private:
  at::Tensor inner(const at::Tensor& normed, const StackContext& context);

  Kind kind_;
  double dropout_, epsilon_;
};
TORCH_MODULE(Layer);

/// One block of the encoder or of the decoder.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const T5Config& config, bool decodes, int64_t number, at::TensorOptions options);
  at::Tensor forward(const at::Tensor& x, const StackContext& context);

  torch::nn::ModuleList layer;

 private:
  std::vector<Layer> layers_;
};
TORCH_MODULE(Block);

/// The encoder or the decoder without its embedding, which both share.
class StackImpl : public torch::nn::Module {
 public:
  StackImpl(const T5Config& config, bool decodes, at::TensorOptions options);

  /// `context.own` is the mask alone; the position bias is added here.
  ///   embedded [B, T, hidden] -> [B, T, hidden]
  at::Tensor forward(const at::Tensor& embedded, const StackContext& context, bool recompute);

  torch::nn::ModuleList block;
  RmsNorm final_layer_norm{nullptr};

 private:
  at::Tensor bias(int64_t tokens, int64_t past) const;

  std::vector<Block> blocks_;
  PositionBuckets buckets_;
  double dropout_, epsilon_;
};
TORCH_MODULE(Stack);

/// T5 and mT5 as a sequence-to-sequence model.
class T5ForConditionalGenerationImpl : public Seq2SeqModelImpl {
 public:
  /// The parameters' memory is reserved, not filled: see load_weights.
  T5ForConditionalGenerationImpl(const Json& config, at::TensorOptions options);

  at::Tensor encode(const EncoderInput& input) override;
  at::Tensor decode(const Seq2SeqInput& input) override;
  at::Tensor head(const at::Tensor& hidden) override;
  at::Tensor head_weight() const override;
  void untie_head(const at::Tensor& weight) override;
  at::Tensor embed(const at::Tensor& ids) override;
  at::Tensor shift_right(const at::Tensor& labels) const override;
  int64_t decoder_start_token_id() const override;
  int64_t decoder_layers() const override { return config_.num_decoder_layers; }
  ModelShape shape() const override;
  const Json& config() const override { return json_; }
  bool may_ignore(const std::string& key) const override;
  /// transformers' configs say of all models that their head is the embedding: the checkpoint
  /// tells.
  void meet(const WeightSource& checkpoint) override;
  void set_gradient_checkpointing(bool on) override { checkpointing_ = on; }
  bool is_gradient_checkpointing() const override { return checkpointing_; }

  torch::nn::Embedding shared{nullptr};
  Stack encoder{nullptr}, decoder{nullptr};
  torch::nn::Linear lm_head{nullptr};  // empty where the head is the embedding

 private:
  Json json_;
  T5Config config_;
  bool checkpointing_ = false;
};

/// The family's entry in the registry.
PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options);

}  // namespace peft::t5
