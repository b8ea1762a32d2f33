#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <limits>

#include "peft/models/common/checkpointing.h"
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
    : layer_(layer), width_(config.d_kv), dropout_(config.dropout_rate) {
  const auto inner = config.num_heads * config.d_kv;
  q = register_module("q", make_linear(config.d_model, inner, false, options));
  k = register_module("k", make_linear(config.d_model, inner, false, options));
  v = register_module("v", make_linear(config.d_model, inner, false, options));
  o = register_module("o", make_linear(inner, config.d_model, false, options));
  if (biased) {
    relative_attention_bias = register_module(
        "relative_attention_bias",
        make_embedding(config.relative_attention_num_buckets, config.num_heads, options));
  }
}

at::Tensor AttentionImpl::heads(const at::Tensor& x, const torch::nn::Linear& layer) const {
  return project(x, layer)
      .view({x.size(0), x.size(1), -1, width_})
      .transpose(1, 2);  // [B, H, T, D]
}

at::Tensor AttentionImpl::attend_with(const at::Tensor& x,
                                      const std::pair<at::Tensor, at::Tensor>& keys,
                                      const AttentionMask& mask) {
  const AttentionOptions options{.scale = 1.0, .dropout = is_training() ? dropout_ : 0.0};
  return project(attend(heads(x, q), keys.first, keys.second, mask, options), o);
}

at::Tensor AttentionImpl::to_itself(const at::Tensor& x, const StackContext& context) {
  std::pair keys(heads(x, k), heads(x, v));
  if (context.cache != nullptr) {
    keys = context.cache->self_attention->append(layer_, keys.first, keys.second);
  }
  return attend_with(x, keys, context.own);
}

at::Tensor AttentionImpl::to_source(const at::Tensor& x, const StackContext& context) {
  auto* cache = context.cache == nullptr ? nullptr : context.cache->cross_attention.get();
  const auto keys = cross_keys_and_values(
      cache, layer_, [&] { return std::pair(heads(context.states, k), heads(context.states, v)); });
  return attend_with(x, keys, context.source);
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

at::Tensor LayerImpl::inner(const at::Tensor& normed, const StackContext& context) {
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

at::Tensor LayerImpl::forward(const at::Tensor& x, const StackContext& context) {
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

at::Tensor BlockImpl::forward(const at::Tensor& given, const StackContext& context) {
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

at::Tensor StackImpl::forward(const at::Tensor& embedded, const StackContext& given,
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
    x = checkpoint(
        [one = blocks_[i], biased](const at::Tensor& y, const at::Tensor& states) mutable {
          auto context = biased();
          context.states = states;
          return one->forward(y, context);
        },
        x, given.states);
  }
  return at::dropout(t5_norm(x, final_layer_norm, epsilon_), dropout_, is_training());
}

}  // namespace peft::t5
