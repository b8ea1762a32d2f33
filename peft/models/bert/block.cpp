#include "peft/models/bert/block.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft::bert {

SelfAttentionImpl::SelfAttentionImpl(const BertConfig& config, int64_t layer,
                                     at::TensorOptions options)
    : query(nullptr),
      key(nullptr),
      value(nullptr),
      heads_(config.num_attention_heads),
      layer_(layer),
      dropout_(config.attention_dropout) {
  const auto hidden = config.hidden_size;
  query = register_module("query", make_linear(hidden, hidden, true, options));
  key = register_module("key", make_linear(hidden, hidden, true, options));
  value = register_module("value", make_linear(hidden, hidden, true, options));
}

at::Tensor SelfAttentionImpl::forward(const at::Tensor& x, const EncoderContext& context) {
  return attend_to_all(x,
                       {.query = query,
                        .key = key,
                        .value = value,
                        .heads = heads_,
                        .layer = layer_,
                        .dropout = is_training() ? dropout_ : 0.0},
                       context);
}

OutputImpl::OutputImpl(int64_t in, const BertConfig& config, at::TensorOptions options)
    : dense(nullptr), LayerNorm(nullptr), dropout_(config.hidden_dropout) {
  dense = register_module("dense", make_linear(in, config.hidden_size, true, options));
  LayerNorm = register_module("LayerNorm",
                              make_layer_norm(config.hidden_size, config.layer_norm_eps, options));
}

at::Tensor OutputImpl::forward(const at::Tensor& x, const at::Tensor& residual) {
  return normalize(at::dropout(project(x, dense), dropout_, is_training()) + residual, LayerNorm);
}

AttentionImpl::AttentionImpl(const BertConfig& config, int64_t layer, at::TensorOptions options)
    : self(nullptr), output(nullptr) {
  self = register_module("self", SelfAttention(config, layer, options));
  output = register_module("output", Output(config.hidden_size, config, options));
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const EncoderContext& context) {
  return output->forward(self->forward(x, context), x);
}

IntermediateImpl::IntermediateImpl(const BertConfig& config, at::TensorOptions options)
    : dense(nullptr), activation_(config.hidden_act) {
  dense = register_module("dense",
                          make_linear(config.hidden_size, config.intermediate_size, true, options));
}

at::Tensor IntermediateImpl::forward(const at::Tensor& x) { return activation_(project(x, dense)); }

BlockImpl::BlockImpl(const BertConfig& config, int64_t layer, at::TensorOptions options)
    : attention(nullptr), intermediate(nullptr), output(nullptr) {
  attention = register_module("attention", Attention(config, layer, options));
  intermediate = register_module("intermediate", Intermediate(config, options));
  output = register_module("output", Output(config.intermediate_size, config, options));
}

at::Tensor BlockImpl::forward(const at::Tensor& x, const EncoderContext& context) {
  const auto attended = attention->forward(x, context);
  return output->forward(intermediate->forward(attended), attended);
}

EncoderImpl::EncoderImpl(const BertConfig& config, at::TensorOptions options) {
  layer = register_module("layer", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    blocks_.emplace_back(config, i, options);
    layer->push_back(blocks_.back());
  }
}

at::Tensor EncoderImpl::forward(const at::Tensor& x, const EncoderContext& context,
                                bool recompute) {
  return run_blocks(x, blocks_, context, recompute);
}

}  // namespace peft::bert
