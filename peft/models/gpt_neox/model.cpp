#include "peft/models/gpt_neox/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <cmath>
#include <string_view>
#include <tuple>

#include "peft/models/common/decoder_task_model.h"
#include "peft/models/common/layers.h"
#include "peft/models/common/project.h"

namespace peft::gpt_neox {

AttentionImpl::AttentionImpl(const GPTNeoXConfig& config, int64_t index, at::TensorOptions options)
    : query_key_value(nullptr),
      dense(nullptr),
      layer_(index),
      heads_(config.num_attention_heads),
      rotary_dims_(config.rotary_dims),
      scale_(1.0 / std::sqrt(static_cast<double>(config.head_dim()))),
      dropout_(config.attention_dropout) {
  const auto width = config.hidden_size;
  query_key_value = register_module("query_key_value",
                                    make_linear(width, 3 * width, config.attention_bias, options));
  dense = register_module("dense", make_linear(width, width, config.attention_bias, options));
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const DecoderContext& context) {
  const auto parts =
      project(x, query_key_value).unflatten(2, {heads_, -1}).chunk(3, 3);  // [B, T, H, D] each
  const auto query = apply_partial_rotary(parts[0], context.angles, rotary_dims_);
  auto key = apply_partial_rotary(parts[1], context.angles, rotary_dims_);
  auto value = parts[2].transpose(1, 2);  // [B, H, T, D]
  if (context.cache != nullptr) std::tie(key, value) = context.cache->append(layer_, key, value);
  const AttentionOptions options{.scale = scale_, .dropout = is_training() ? dropout_ : 0.0};
  return project(attend(query, key, value, context.full, options), dense);
}

MlpImpl::MlpImpl(const GPTNeoXConfig& config, at::TensorOptions options)
    : dense_h_to_4h(nullptr), dense_4h_to_h(nullptr), activation_(config.activation) {
  const auto width = config.hidden_size, inner = config.intermediate_size;
  dense_h_to_4h = register_module("dense_h_to_4h", make_linear(width, inner, true, options));
  dense_4h_to_h = register_module("dense_4h_to_h", make_linear(inner, width, true, options));
}

at::Tensor MlpImpl::forward(const at::Tensor& x) {
  return project(activation_(project(x, dense_h_to_4h)), dense_4h_to_h);
}

BlockImpl::BlockImpl(const GPTNeoXConfig& config, int64_t index, at::TensorOptions options)
    : input_layernorm(nullptr),
      post_attention_layernorm(nullptr),
      attention(nullptr),
      mlp(nullptr),
      dropout_(config.hidden_dropout),
      parallel_(config.use_parallel_residual) {
  const auto norm = [&](const char* name) {
    return register_module(name,
                           make_layer_norm(config.hidden_size, config.layer_norm_eps, options));
  };
  input_layernorm = norm("input_layernorm");
  post_attention_layernorm = norm("post_attention_layernorm");
  attention = register_module("attention", Attention(config, index, options));
  mlp = register_module("mlp", Mlp(config, options));
}

at::Tensor BlockImpl::forward(const at::Tensor& x, const DecoderContext& context) {
  const auto drop = [this](const at::Tensor& y) { return at::dropout(y, dropout_, is_training()); };
  const auto attended = drop(attention->forward(normalize(x, input_layernorm), context));
  const auto sum = attended + x;
  const auto& read = parallel_ ? x : sum;
  return drop(mlp->forward(normalize(read, post_attention_layernorm))) + sum;
}

GPTNeoXModelImpl::GPTNeoXModelImpl(const Json& config, at::TensorOptions options)
    : DecoderModelImpl(config, "gpt_neox"),
      config_(GPTNeoXConfig::from_json(config)),
      rotary_(config_.rope, config_.rotary_dims) {
  embed_in_ =
      register_module("embed_in", make_embedding(config_.vocab_size, config_.hidden_size, options));
  add_layers({.owner = *this,
              .make =
                  [c = config_](int64_t index, int64_t, at::TensorOptions tensors) {
                    return std::make_shared<BlockImpl>(c, index, tensors);
                  }},
             config_.num_hidden_layers, options);
  final_layer_norm_ = register_module(
      "final_layer_norm", make_layer_norm(config_.hidden_size, config_.layer_norm_eps, options));
}

at::Tensor GPTNeoXModelImpl::before_blocks(const at::Tensor& embeds, const LanguageModelInput&) {
  return at::dropout(embeds, config_.hidden_dropout, is_training());
}

at::Tensor GPTNeoXModelImpl::after_blocks(const at::Tensor& x) {
  return normalize(x, final_layer_norm_);
}

DecoderContext GPTNeoXModelImpl::make_context(const LanguageModelInput& input,
                                              const at::Tensor& embeds) const {
  auto context = DecoderModelImpl::make_context(input, embeds);
  context.angles = rotary_.angles(token_positions(input, embeds));
  return context;
}

ModelShape GPTNeoXModelImpl::shape() const {
  return {.layers = layer_count(),
          .heads = config_.num_attention_heads,
          .kv_heads = config_.num_attention_heads,
          .head_dim = config_.head_dim(),
          .hidden = config_.hidden_size,
          .vocab = config_.vocab_size};
}

// Source: GPTNeoXPreTrainedModel._keys_to_ignore_on_load_unexpected.
bool GPTNeoXModelImpl::may_ignore(const std::string& key) const {
  return is_rotary_buffer(key) || key.ends_with("attention.bias") ||
         key.ends_with("attention.masked_bias");
}

std::string GPTNeoXForCausalLMImpl::renamed_key(const std::string& key) const {
  constexpr std::string_view kFormerHead = "embed_out.";
  if (key.starts_with(kFormerHead)) return "lm_head." + key.substr(kFormerHead.size());
  return DecoderLanguageModelImpl::renamed_key(key);
}

PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options) {
  const auto body = std::make_shared<GPTNeoXModelImpl>(config, options);
  const ConfigReader reader(config, "config.json");
  if (task == ModelTask::kCausalLM) {
    const bool tied = reader.flag("tie_word_embeddings", false);
    return std::make_shared<GPTNeoXForCausalLMImpl>(body, tied, options);
  }
  return make_decoder_model(body, task,
                            {.token_classifier = "classifier",
                             .token_dropout = reader.probability("classifier_dropout", 0.1)},
                            options);
}

}  // namespace peft::gpt_neox
