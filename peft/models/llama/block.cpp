#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <cmath>

#include "peft/models/common/project.h"
#include "peft/models/common/swiglu.h"
#include "peft/models/llama/model.h"

namespace peft::llama {

AttentionImpl::AttentionImpl(const LlamaConfig& config, int64_t index, int64_t like,
                             at::TensorOptions options)
    : q_proj(nullptr),
      k_proj(nullptr),
      v_proj(nullptr),
      o_proj(nullptr),
      layer_(index),
      head_dim_(config.head_dim),
      slides_(config.windows.at(static_cast<size_t>(like)) > 0),
      dropout_(config.attention_dropout) {
  const auto hidden = config.hidden_size;
  const auto queries = config.num_attention_heads * config.head_dim;
  const auto keys = config.num_key_value_heads * config.head_dim;
  const bool bias = config.qkv_bias;
  q_proj = register_module("q_proj", make_linear(hidden, queries, bias, options));
  k_proj = register_module("k_proj", make_linear(hidden, keys, bias, options));
  v_proj = register_module("v_proj", make_linear(hidden, keys, bias, options));
  o_proj = register_module("o_proj", make_linear(queries, hidden, config.output_bias, options));
  if (config.qk_norm) {
    q_norm = register_module("q_norm", RmsNorm(head_dim_, config.rms_norm_eps, options));
    k_norm = register_module("k_norm", RmsNorm(head_dim_, config.rms_norm_eps, options));
  }
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const DecoderContext& context) {
  const auto heads = [this](const at::Tensor& y) {
    return y.view({y.size(0), y.size(1), -1, head_dim_});  // [B, T, H or K, D]
  };
  auto query = heads(project(x, q_proj));
  auto key = heads(project(x, k_proj));
  auto value = heads(project(x, v_proj)).transpose(1, 2);  // [B, K, T, D]
  if (q_norm) {
    query = q_norm->forward(query);
    key = k_norm->forward(key);
  }
  query = apply_rotary(query, context.angles);  // [B, H, T, D]
  key = apply_rotary(key, context.angles);      // [B, K, T, D]
  if (context.cache != nullptr) std::tie(key, value) = context.cache->append(layer_, key, value);
  const auto& mask = slides_ ? context.sliding : context.full;
  const AttentionOptions options{.scale = 1.0 / std::sqrt(static_cast<double>(head_dim_)),
                                 .dropout = is_training() ? dropout_ : 0.0};
  const auto output = project(attend(query, key, value, mask, options), o_proj);
  return addition() == nullptr ? output : output + make_addition(query);
}

at::Tensor AttentionImpl::make_addition(const at::Tensor& query) const {
  const auto heads = [this](const at::Tensor& y) {
    return y.view({y.size(0), y.size(1), -1, head_dim_}).transpose(1, 2);
  };
  return addition()->add(
      {.query = query,
       .keys_and_values =
           [&](const at::Tensor& inputs) {
             return std::pair(heads(project(inputs, k_proj)), heads(project(inputs, v_proj)));
           },
       .project = [this](const at::Tensor& attended) { return project(attended, o_proj); }});
}

MlpImpl::MlpImpl(const LlamaConfig& config, at::TensorOptions options)
    : gate_proj(nullptr), up_proj(nullptr), down_proj(nullptr), activation_(config.hidden_act) {
  const auto hidden = config.hidden_size, inner = config.intermediate_size;
  gate_proj = register_module("gate_proj", make_linear(hidden, inner, config.mlp_bias, options));
  up_proj = register_module("up_proj", make_linear(hidden, inner, config.mlp_bias, options));
  down_proj = register_module("down_proj", make_linear(inner, hidden, config.mlp_bias, options));
}

at::Tensor MlpImpl::forward(const at::Tensor& x) {
  const auto gate = project(x, gate_proj), up = project(x, up_proj);
  at::Tensor inner;
  if (activation_ == "silu") {
    inner = swiglu(gate, up);
  } else if (activation_ == "relu") {
    inner = at::relu(gate) * up;
  } else {
    inner = at::gelu(gate, activation_ == "gelu" ? "none" : "tanh") * up;
  }
  return project(inner, down_proj);
}

BlockImpl::BlockImpl(const LlamaConfig& config, int64_t index, int64_t like,
                     at::TensorOptions options)
    : self_attn(nullptr),
      mlp(nullptr),
      input_layernorm(nullptr),
      post_attention_layernorm(nullptr) {
  self_attn = register_module("self_attn", Attention(config, index, like, options));
  mlp = register_module("mlp", Mlp(config, options));
  input_layernorm =
      register_module("input_layernorm", RmsNorm(config.hidden_size, config.rms_norm_eps, options));
  post_attention_layernorm = register_module(
      "post_attention_layernorm", RmsNorm(config.hidden_size, config.rms_norm_eps, options));
}

at::Tensor BlockImpl::forward(const at::Tensor& x, const DecoderContext& context) {
  const auto attended = self_attn->forward(input_layernorm->forward(x), context);
  const auto [middle, normed] = post_attention_layernorm->add_forward(x, attended);
  return middle + mlp->forward(normed);
}

}  // namespace peft::llama
