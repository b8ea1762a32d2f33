#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <cmath>
#include <limits>

#include "peft/models/bart/model.h"
#include "peft/models/common/encoder_blocks.h"
#include "peft/models/common/project.h"

namespace peft::bart {
namespace {

constexpr int64_t kFirstPosition = 2;  // rows of the table before the first token's
constexpr double kEpsilon = 1e-5;

// In float16 sums overflow; the encoder's are bounded.
at::Tensor bounded(const at::Tensor& x) {
  if (x.scalar_type() != at::kHalf || at::isfinite(x).all().item<bool>()) return x;
  const double bound = static_cast<double>(std::numeric_limits<c10::Half>::max()) - 1000;
  return x.clamp(-bound, bound);
}

std::shared_ptr<Seq2SeqAttentionImpl> make_attention(const BartConfig& config,
                                                     const StackConfig& stack, int64_t layer,
                                                     at::TensorOptions options) {
  const int64_t width = config.d_model / stack.heads;
  return std::make_shared<Seq2SeqAttentionImpl>(
      Seq2SeqAttentionImpl::Sizes{.hidden = config.d_model,
                                  .heads = stack.heads,
                                  .width = width,
                                  .scale = 1.0 / std::sqrt(static_cast<double>(width)),
                                  .dropout = config.attention_dropout},
      Seq2SeqAttentionImpl::Names{
          .query = "q_proj", .key = "k_proj", .value = "v_proj", .output = "out_proj"},
      layer, options);
}

}  // namespace

LayerImpl::LayerImpl(const BartConfig& config, bool decodes, int64_t number,
                     at::TensorOptions options)
    : activation_(config.activation),
      dropout_(config.dropout),
      activation_dropout_(config.activation_dropout) {
  const auto& stack = decodes ? config.decoder : config.encoder;
  const auto norm = [&](const char* name) {
    return register_module(name, make_layer_norm(config.d_model, kEpsilon, options));
  };
  self_attn = register_module("self_attn", make_attention(config, stack, number, options));
  self_attn_layer_norm = norm("self_attn_layer_norm");
  if (decodes) {
    encoder_attn = register_module("encoder_attn", make_attention(config, stack, number, options));
    encoder_attn_layer_norm = norm("encoder_attn_layer_norm");
  }
  fc1 = register_module("fc1", make_linear(config.d_model, stack.inner, true, options));
  fc2 = register_module("fc2", make_linear(stack.inner, config.d_model, true, options));
  final_layer_norm = norm("final_layer_norm");
}

at::Tensor LayerImpl::dense(const at::Tensor& x) {
  const auto inner = at::dropout(activation_(project(x, fc1)), activation_dropout_, is_training());
  return project(inner, fc2);
}

at::Tensor LayerImpl::forward(const at::Tensor& given, const Seq2SeqContext& context) {
  const auto add = [this](const at::Tensor& x, const at::Tensor& y,
                          const torch::nn::LayerNorm& norm) {
    return normalize(x + at::dropout(y, dropout_, is_training()), norm);
  };
  auto x = add(given, self_attn->to_itself(given, context), self_attn_layer_norm);
  if (encoder_attn) x = add(x, encoder_attn->to_source(x, context), encoder_attn_layer_norm);
  x = add(x, dense(x), final_layer_norm);
  return encoder_attn ? x : bounded(x);
}

StackImpl::StackImpl(const BartConfig& config, bool decodes, at::TensorOptions options)
    : dropout_(config.dropout),
      layerdrop_(decodes ? config.decoder.layerdrop : config.encoder.layerdrop) {
  embed_positions = register_module(
      "embed_positions",
      make_embedding(config.max_position_embeddings + kFirstPosition, config.d_model, options));
  layers = register_module("layers", torch::nn::ModuleList());
  const auto count = decodes ? config.decoder.layers : config.encoder.layers;
  for (int64_t i = 0; i < count; ++i) {
    layers_.emplace_back(config, decodes, i, options);
    layers->push_back(layers_.back());
  }
  layernorm_embedding =
      register_module("layernorm_embedding", make_layer_norm(config.d_model, kEpsilon, options));
}

at::Tensor StackImpl::positions(int64_t tokens, int64_t past) const {
  const auto& table = embed_positions->weight;
  check_positions(past + tokens, table.size(0) - kFirstPosition);
  const auto first = past + kFirstPosition;
  return at::embedding(table, at::arange(first, first + tokens, table.device()));
}

bool StackImpl::leaves_out() const {
  return layerdrop_ > 0 && is_training() && at::rand({}).item<double>() < layerdrop_;
}

at::Tensor StackImpl::forward(const at::Tensor& embedded, const Seq2SeqContext& context,
                              bool recompute) {
  const auto past = context.cache == nullptr ? 0 : context.cache->self_attention->length();
  auto x = normalize(embedded + positions(embedded.size(1), past), layernorm_embedding);
  x = at::dropout(x, dropout_, is_training());
  for (auto& layer : layers_) {
    if (leaves_out()) continue;
    if (!recompute) {
      x = layer->forward(x, context);
      continue;
    }
    x = recompute_layer(
        [layer](const at::Tensor& y, const Seq2SeqContext& seen) mutable {
          return layer->forward(y, seen);
        },
        [context] { return context; }, x, context.states);
  }
  return x;
}

}  // namespace peft::bart
