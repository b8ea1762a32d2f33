#include "peft/models/gpt2/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <cmath>
#include <tuple>

#include "peft/models/common/decoder_task_model.h"
#include "peft/models/common/layers.h"

namespace peft::gpt2 {

AttentionImpl::AttentionImpl(const GPT2Config& config, int64_t index, int64_t like,
                             at::TensorOptions options)
    : c_attn(register_module("c_attn", Conv1D(config.n_embd, 3 * config.n_embd, options))),
      c_proj(register_module("c_proj", Conv1D(config.n_embd, config.n_embd, options))),
      layer_(index),
      heads_(config.n_head),
      scale_(config.scale_attn_weights ? 1.0 / std::sqrt(static_cast<double>(config.head_dim()))
                                       : 1.0),
      attention_dropout_(config.attn_pdrop),
      output_dropout_(config.resid_pdrop) {
  if (config.scale_attn_by_inverse_layer_idx) scale_ /= static_cast<double>(like + 1);
}

// [B, T, C] -> [B, H, T, D]
at::Tensor AttentionImpl::split_heads(const at::Tensor& x) const {
  return x.unflatten(2, {heads_, -1}).transpose(1, 2);
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const DecoderContext& context) {
  const auto parts = c_attn->forward(x).chunk(3, 2);
  const auto query = split_heads(parts[0]);
  auto key = split_heads(parts[1]), value = split_heads(parts[2]);
  if (context.cache != nullptr) std::tie(key, value) = context.cache->append(layer_, key, value);
  const AttentionOptions options{.scale = scale_,
                                 .dropout = is_training() ? attention_dropout_ : 0.0};
  const auto output = at::dropout(c_proj->forward(attend(query, key, value, context.full, options)),
                                  output_dropout_, is_training());
  return addition() == nullptr ? output : output + make_addition(query);
}

at::Tensor AttentionImpl::make_addition(const at::Tensor& query) const {
  return addition()->add(
      {.query = query,
       .keys_and_values =
           [this](const at::Tensor& inputs) {
             const auto parts = c_attn->forward(inputs).chunk(3, 2);
             return std::pair(split_heads(parts[1]), split_heads(parts[2]));
           },
       .project = [this](const at::Tensor& attended) { return c_proj->forward(attended); }});
}

MlpImpl::MlpImpl(const GPT2Config& config, at::TensorOptions options)
    : c_fc(register_module("c_fc", Conv1D(config.n_embd, config.n_inner, options))),
      c_proj(register_module("c_proj", Conv1D(config.n_inner, config.n_embd, options))),
      activation_(config.activation),
      dropout_(config.resid_pdrop) {}

at::Tensor MlpImpl::forward(const at::Tensor& x) {
  return at::dropout(c_proj->forward(activation_(c_fc->forward(x))), dropout_, is_training());
}

BlockImpl::BlockImpl(const GPT2Config& config, int64_t index, int64_t like,
                     at::TensorOptions options)
    : ln_1(nullptr), ln_2(nullptr), attn(nullptr), mlp(nullptr) {
  const auto norm = [&] {
    return make_layer_norm(config.n_embd, config.layer_norm_epsilon, options);
  };
  ln_1 = register_module("ln_1", norm());
  attn = register_module("attn", Attention(config, index, like, options));
  ln_2 = register_module("ln_2", norm());
  mlp = register_module("mlp", Mlp(config, options));
}

at::Tensor BlockImpl::forward(const at::Tensor& x, const DecoderContext& context) {
  const auto middle = x + attn->forward(normalize(x, ln_1), context);
  return middle + mlp->forward(normalize(middle, ln_2));
}

GPT2ModelImpl::GPT2ModelImpl(const Json& config, at::TensorOptions options)
    : DecoderModelImpl(config, "transformer"), config_(GPT2Config::from_json(config)) {
  wte_ = register_module("wte", make_embedding(config_.vocab_size, config_.n_embd, options));
  wpe_ = register_module("wpe", make_embedding(config_.n_positions, config_.n_embd, options));
  add_layers({.owner = *this,
              .name = "h",
              .count_key = "n_layer",
              .make =
                  [c = config_](int64_t index, int64_t like, at::TensorOptions tensors) {
                    return std::make_shared<BlockImpl>(c, index, like, tensors);
                  }},
             config_.n_layer, options);
  ln_f_ =
      register_module("ln_f", make_layer_norm(config_.n_embd, config_.layer_norm_epsilon, options));
}

at::Tensor GPT2ModelImpl::before_blocks(const at::Tensor& embeds, const LanguageModelInput& input) {
  const auto positions = embed_positions(token_positions(input, embeds), wpe_->weight);
  return at::dropout(embeds + positions, config_.embd_pdrop, is_training());
}

at::Tensor GPT2ModelImpl::after_blocks(const at::Tensor& x) { return normalize(x, ln_f_); }

EncoderOutput GPT2ModelImpl::forward(const EncoderInput& given) {
  if (!given.token_type_ids.defined()) return DecoderModelImpl::forward(given);
  check_one_input(given);
  auto input = given.to(wte_->weight.device());
  if (input.input_ids.defined()) input.inputs_embeds = embed(input.input_ids);
  input.inputs_embeds = input.inputs_embeds + embed(input.token_type_ids);
  input.input_ids.reset();
  return DecoderModelImpl::forward(input);
}

ModelShape GPT2ModelImpl::shape() const {
  return {.layers = layer_count(),
          .heads = config_.n_head,
          .kv_heads = config_.n_head,
          .head_dim = config_.head_dim(),
          .hidden = config_.n_embd,
          .vocab = config_.vocab_size};
}

// Source: GPT2PreTrainedModel._keys_to_ignore_on_load_unexpected.
bool GPT2ModelImpl::may_ignore(const std::string& key) const {
  return key.ends_with(".attn.bias") || key.ends_with("crossattention.bias");
}

PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options) {
  const auto body = std::make_shared<GPT2ModelImpl>(config, options);
  const ConfigReader reader(config, "config.json");
  if (task == ModelTask::kCausalLM) {
    const bool tied = reader.flag("tie_word_embeddings", true);
    return std::make_shared<GPT2LMHeadModelImpl>(body, tied, options);
  }
  return make_decoder_model(
      body, task, {.token_classifier = "classifier", .token_dropout = read_token_dropout(reader)},
      options);
}

}  // namespace peft::gpt2
