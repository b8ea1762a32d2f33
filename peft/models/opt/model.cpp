#include "peft/models/opt/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <cmath>
#include <tuple>

#include "peft/models/common/decoder_task_model.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft::opt {
namespace {

constexpr int64_t kPositionOffset = 2;
constexpr int64_t kPadding = 1;  // where config.json is silent

torch::nn::LayerNorm make_opt_norm(const OPTConfig& config, at::TensorOptions options) {
  constexpr double kEpsilon = 1e-5;
  if (config.layer_norm_elementwise_affine) {
    return make_layer_norm(config.hidden_size, kEpsilon, options);
  }
  return torch::nn::LayerNorm(
      torch::nn::LayerNormOptions({config.hidden_size}).eps(kEpsilon).elementwise_affine(false));
}

// Tokens are counted, padding is not: it has the position before the first.  -> [B or 1, T]
at::Tensor mask_positions(const LanguageModelInput& input, const at::Tensor& embeds) {
  if (input.position_ids.defined() || !input.attention_mask.defined()) {
    return token_positions(input, embeds);
  }
  const auto past = input.cache == nullptr ? 0 : input.cache->length();
  const auto mask = input.attention_mask.ne(0).to(at::kLong);
  return (mask.cumsum(1) * mask - 1).narrow(1, past, embeds.size(1));
}

}  // namespace

AttentionImpl::AttentionImpl(const OPTConfig& config, int64_t index, at::TensorOptions options)
    : k_proj(nullptr),
      v_proj(nullptr),
      q_proj(nullptr),
      out_proj(nullptr),
      layer_(index),
      heads_(config.num_attention_heads),
      scale_(1.0 / std::sqrt(static_cast<double>(config.head_dim()))),
      dropout_(config.attention_dropout) {
  const auto layer = [&](const char* name) {
    return register_module(
        name, make_linear(config.hidden_size, config.hidden_size, config.enable_bias, options));
  };
  k_proj = layer("k_proj");
  v_proj = layer("v_proj");
  q_proj = layer("q_proj");
  out_proj = layer("out_proj");
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const DecoderContext& context) {
  const auto heads = [&](const torch::nn::Linear& layer) {
    return project(x, layer).unflatten(2, {heads_, -1}).transpose(1, 2);  // [B, H, T, D]
  };
  const auto query = heads(q_proj);
  auto key = heads(k_proj), value = heads(v_proj);
  if (context.cache != nullptr) std::tie(key, value) = context.cache->append(layer_, key, value);
  const AttentionOptions options{.scale = scale_, .dropout = is_training() ? dropout_ : 0.0};
  return project(attend(query, key, value, context.full, options), out_proj);
}

BlockImpl::BlockImpl(const OPTConfig& config, int64_t index, at::TensorOptions options)
    : self_attn(nullptr),
      self_attn_layer_norm(nullptr),
      final_layer_norm(nullptr),
      fc1(nullptr),
      fc2(nullptr),
      activation_(config.activation),
      dropout_(config.dropout),
      norm_first_(config.do_layer_norm_before) {
  const auto width = config.hidden_size;
  self_attn = register_module("self_attn", Attention(config, index, options));
  self_attn_layer_norm = register_module("self_attn_layer_norm", make_opt_norm(config, options));
  fc1 = register_module("fc1", make_linear(width, config.ffn_dim, config.enable_bias, options));
  fc2 = register_module("fc2", make_linear(config.ffn_dim, width, config.enable_bias, options));
  final_layer_norm = register_module("final_layer_norm", make_opt_norm(config, options));
}

at::Tensor BlockImpl::forward(const at::Tensor& x, const DecoderContext& context) {
  const auto part = [&](const at::Tensor& input, const torch::nn::LayerNorm& norm, auto compute) {
    const auto y = compute(norm_first_ ? normalize(input, norm) : input);
    const auto sum = input + at::dropout(y, dropout_, is_training());
    return norm_first_ ? sum : normalize(sum, norm);
  };
  const auto middle = part(x, self_attn_layer_norm,
                           [&](const at::Tensor& y) { return self_attn->forward(y, context); });
  return part(middle, final_layer_norm,
              [&](const at::Tensor& y) { return project(activation_(project(y, fc1)), fc2); });
}

DecoderImpl::DecoderImpl(const OPTConfig& config, at::TensorOptions options)
    : embed_tokens(nullptr), embed_positions(nullptr) {
  const auto hidden = config.hidden_size, width = config.word_embed_proj_dim;
  embed_tokens = register_module("embed_tokens", make_embedding(config.vocab_size, width, options));
  embed_positions = register_module(
      "embed_positions",
      make_embedding(config.max_position_embeddings + kPositionOffset, hidden, options));
  if (width != hidden) {
    project_out = register_module("project_out", make_linear(hidden, width, false, options));
    project_in = register_module("project_in", make_linear(width, hidden, false, options));
  }
  if (config.final_layer_norm) {
    final_layer_norm = register_module("final_layer_norm", make_opt_norm(config, options));
  }
}

OPTModelImpl::OPTModelImpl(const Json& config, at::TensorOptions options)
    : DecoderModelImpl(config, "model"),
      config_(OPTConfig::from_json(config)),
      decoder_(config_, options) {
  register_module("decoder", decoder_);
  set_padding_row(read_any_padding(ConfigReader(config, "config.json"), kPadding));
  add_layers({.owner = *decoder_,
              .make =
                  [c = config_](int64_t index, int64_t, at::TensorOptions tensors) {
                    return std::make_shared<BlockImpl>(c, index, tensors);
                  }},
             config_.num_hidden_layers, options);
}

at::Tensor OPTModelImpl::before_blocks(const at::Tensor& embeds, const LanguageModelInput& input) {
  const auto positions = mask_positions(input, embeds) + kPositionOffset;
  const auto x = decoder_->project_in ? project(embeds, decoder_->project_in) : embeds;
  return x + embed_positions(positions, decoder_->embed_positions->weight);
}

at::Tensor OPTModelImpl::after_blocks(const at::Tensor& x) {
  const auto y = decoder_->final_layer_norm ? normalize(x, decoder_->final_layer_norm) : x;
  return decoder_->project_out ? project(y, decoder_->project_out) : y;
}

// Positions that jump do not part a row of OPT into several sequences.
DecoderContext OPTModelImpl::make_context(const LanguageModelInput& given,
                                          const at::Tensor& embeds) const {
  auto input = given;
  input.position_ids.reset();
  return DecoderModelImpl::make_context(input, embeds);
}

bool OPTModelImpl::drops_layer() const {
  return config_.layerdrop > 0.0 && at::rand({}).item<double>() < config_.layerdrop;
}

ModelShape OPTModelImpl::shape() const {
  return {.layers = layer_count(),
          .heads = config_.num_attention_heads,
          .kv_heads = config_.num_attention_heads,
          .head_dim = config_.head_dim(),
          .hidden = config_.hidden_size,
          .vocab = config_.vocab_size,
          .embedding = config_.word_embed_proj_dim};
}

PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options) {
  const auto body = std::make_shared<OPTModelImpl>(config, options);
  if (task == ModelTask::kCausalLM) {
    const bool tied = ConfigReader(config, "config.json").flag("tie_word_embeddings", true);
    return std::make_shared<OPTForCausalLMImpl>(body, tied, options);
  }
  return make_decoder_model(body, task, {.token_classifier = "", .padding = kPadding}, options);
}

}  // namespace peft::opt
