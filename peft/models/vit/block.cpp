#include "peft/models/vit/block.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft::vit {

AttentionImpl::AttentionImpl(const ViTConfig& config, at::TensorOptions options)
    : q_proj(nullptr),
      k_proj(nullptr),
      v_proj(nullptr),
      o_proj(nullptr),
      heads_(config.num_attention_heads),
      dropout_(config.attention_dropout) {
  const auto hidden = config.hidden_size, inner = heads_ * config.head_dim;
  const bool bias = config.qkv_bias;
  q_proj = register_module("q_proj", make_linear(hidden, inner, bias, options));
  k_proj = register_module("k_proj", make_linear(hidden, inner, bias, options));
  v_proj = register_module("v_proj", make_linear(hidden, inner, bias, options));
  o_proj = register_module("o_proj", make_linear(inner, hidden, true, options));
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const EncoderContext& context) {
  const auto attended = attend_to_all(x,
                                      {.query = q_proj,
                                       .key = k_proj,
                                       .value = v_proj,
                                       .heads = heads_,
                                       .dropout = is_training() ? dropout_ : 0.0},
                                      context);
  return project(attended, o_proj);
}

MlpImpl::MlpImpl(const ViTConfig& config, at::TensorOptions options)
    : fc1(nullptr), fc2(nullptr), activation_(config.hidden_act) {
  const auto hidden = config.hidden_size, inner = config.intermediate_size;
  fc1 = register_module("fc1", make_linear(hidden, inner, true, options));
  fc2 = register_module("fc2", make_linear(inner, hidden, true, options));
}

at::Tensor MlpImpl::forward(const at::Tensor& x) { return feed_forward(x, fc1, activation_, fc2); }

BlockImpl::BlockImpl(const ViTConfig& config, at::TensorOptions options)
    : attention(nullptr),
      layernorm_before(nullptr),
      layernorm_after(nullptr),
      mlp(nullptr),
      dropout_(config.hidden_dropout) {
  const auto norm = [&] {
    return make_layer_norm(config.hidden_size, config.layer_norm_eps, options);
  };
  attention = register_module("attention", Attention(config, options));
  layernorm_before = register_module("layernorm_before", norm());
  layernorm_after = register_module("layernorm_after", norm());
  mlp = register_module("mlp", Mlp(config, options));
}

at::Tensor BlockImpl::forward(const at::Tensor& x, const EncoderContext& context) {
  const auto drop = [&](const at::Tensor& y) { return at::dropout(y, dropout_, is_training()); };
  const auto middle = drop(attention->forward(normalize(x, layernorm_before), context)) + x;
  return drop(mlp->forward(normalize(middle, layernorm_after))) + middle;
}

}  // namespace peft::vit
