#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <limits>

#include "peft/models/common/project.h"
#include "peft/models/t5/model.h"

namespace peft::t5 {
namespace {

// The residual stream is wider than the norm's weight behind a `wo` that stayed in float32.
at::Tensor t5_norm(const at::Tensor& x, const RmsNorm& norm, double epsilon) {
  const auto dtype = norm->weight.scalar_type();
  if (x.scalar_type() == dtype) return norm->forward(x);
  const auto wide = x.to(at::kFloat);
  const auto scale = at::rsqrt(wide.square().mean(-1, true) + epsilon);
  return norm->weight * (wide * scale).to(dtype);
}

// In float16 sums overflow; what is infinite becomes large.
at::Tensor without_infinities(const at::Tensor& x) {
  if (x.scalar_type() != at::kHalf) return x;
  const double largest = std::numeric_limits<c10::Half>::max();
  const double bound = at::isinf(x).any().item<bool>() ? largest - 1000 : largest;
  return x.clamp(-bound, bound);
}

}  // namespace

AttentionImpl::AttentionImpl(const T5Config& config, int64_t layer, bool biased,
                             at::TensorOptions options)
    : Seq2SeqAttentionImpl({.hidden = config.d_model,
                            .heads = config.num_heads,
                            .width = config.d_kv,
                            .bias = false,
                            .dropout = config.dropout_rate},
                           {.query = "q", .key = "k", .value = "v", .output = "o"}, layer,
                           options) {
  if (!biased) return;
  relative_attention_bias = register_module(
      "relative_attention_bias",
      make_embedding(config.relative_attention_num_buckets, config.num_heads, options));
}

DenseImpl::DenseImpl(const T5Config& config, at::TensorOptions options)
    : activation_(config.activation), dropout_(config.dropout_rate) {
  const auto linear = [&](const char* name, int64_t in, int64_t out, at::TensorOptions kind) {
    return register_module(name, make_linear(in, out, false, kind));
  };
  if (config.gated) {
    wi_0 = linear("wi_0", config.d_model, config.d_ff, options);
    wi_1 = linear("wi_1", config.d_model, config.d_ff, options);
  } else {
    wi = linear("wi", config.d_model, config.d_ff, options);
  }
  const bool half = options.dtype() == at::kHalf;
  wo = linear("wo", config.d_ff, config.d_model, half ? options.dtype(at::kFloat) : options);
}

at::Tensor DenseImpl::forward(const at::Tensor& x) {
  const auto inner =
      wi ? activation_(project(x, wi)) : activation_(project(x, wi_0)) * project(x, wi_1);
  const auto kept = at::dropout(inner, dropout_, is_training());
  return project(kept.to(wo->weight.scalar_type()), wo);
}

LayerImpl::LayerImpl(const T5Config& config, Kind kind, int64_t layer, bool biased,
                     at::TensorOptions options)
    : kind_(kind), dropout_(config.dropout_rate), epsilon_(config.layer_norm_epsilon) {
  if (kind == Kind::kDense) {
    dense = register_module("DenseReluDense", Dense(config, options));
  } else {
    attention = register_module(kind == Kind::kItself ? "SelfAttention" : "EncDecAttention",
                                Attention(config, layer, biased, options));
  }
  layer_norm = register_module("layer_norm", RmsNorm(config.d_model, epsilon_, options));
}

at::Tensor LayerImpl::inner(const at::Tensor& normed, const Seq2SeqContext& context) {
  switch (kind_) {
    case Kind::kItself:
      return attention->to_itself(normed, context);
    case Kind::kSource:
      return attention->to_source(normed, context);
    case Kind::kDense:
      return dense->forward(normed);
  }
  return {};
}

at::Tensor LayerImpl::forward(const at::Tensor& x, const Seq2SeqContext& context) {
  const auto y = inner(t5_norm(x, layer_norm, epsilon_), context);
  return without_infinities(x + at::dropout(y, dropout_, is_training()));
}

BlockImpl::BlockImpl(const T5Config& config, bool decodes, int64_t number,
                     at::TensorOptions options) {
  using Kind = LayerImpl::Kind;
  layers_.emplace_back(config, Kind::kItself, number, number == 0, options);
  if (decodes) layers_.emplace_back(config, Kind::kSource, number, false, options);
  layers_.emplace_back(config, Kind::kDense, number, false, options);
  layer = register_module("layer", torch::nn::ModuleList());
  for (const auto& one : layers_) layer->push_back(one);
}

at::Tensor BlockImpl::forward(const at::Tensor& given, const Seq2SeqContext& context) {
  auto x = given;
  for (auto& one : layers_) x = one->forward(x, context);
  return x;
}

StackImpl::StackImpl(const T5Config& config, bool decodes, at::TensorOptions options)
    : buckets_{.count = config.relative_attention_num_buckets,
               .max_distance = config.relative_attention_max_distance,
               .bidirectional = !decodes},
      dropout_(config.dropout_rate),
      epsilon_(config.layer_norm_epsilon) {
  block = register_module("block", torch::nn::ModuleList());
  const auto count = decodes ? config.num_decoder_layers : config.num_layers;
  for (int64_t i = 0; i < count; ++i) {
    blocks_.emplace_back(config, decodes, i, options);
    block->push_back(blocks_.back());
  }
  final_layer_norm =
      register_module("final_layer_norm", RmsNorm(config.d_model, epsilon_, options));
}

at::Tensor StackImpl::bias(int64_t tokens, int64_t past) const {
  const auto& first = std::dynamic_pointer_cast<LayerImpl>(blocks_.front()->layer->ptr(0));
  return position_bias(first->attention->relative_attention_bias->weight, buckets_, tokens, past);
}

at::Tensor StackImpl::forward(const at::Tensor& embedded, const Seq2SeqContext& given,
                              bool recompute) {
  const auto past = given.cache == nullptr ? 0 : given.cache->self_attention->length();
  const auto biased = [this, given, past, tokens = embedded.size(1)] {
    auto context = given;
    context.own = with_bias(given.own, bias(tokens, past));
    return context;
  };
  auto x = at::dropout(embedded, dropout_, is_training());
  if (!recompute) {
    const auto context = biased();
    for (auto& one : blocks_) x = one->forward(x, context);
  }
  for (size_t i = 0; recompute && i < blocks_.size(); ++i) {
    // The bias is computed again too: its weight gets its gradient inside of each block.
    x = recompute_layer(
        [one = blocks_[i]](const at::Tensor& y, const Seq2SeqContext& seen) mutable {
          return one->forward(y, seen);
        },
        biased, x, given.states);
  }
  return at::dropout(t5_norm(x, final_layer_norm, epsilon_), dropout_, is_training());
}

}  // namespace peft::t5
