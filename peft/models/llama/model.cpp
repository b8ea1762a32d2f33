#include "peft/models/llama/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <utility>

#include "peft/models/common/config_reader.h"
#include "peft/models/common/decoder_task_model.h"

namespace peft::llama {

LlamaModelImpl::LlamaModelImpl(const Json& config, std::string prefix, at::TensorOptions options)
    : DecoderModelImpl(config, std::move(prefix)),
      config_(LlamaConfig::from_json(config)),
      rotary_(config_.rope, config_.head_dim) {
  embed_tokens_ = register_module("embed_tokens",
                                  make_embedding(config_.vocab_size, config_.hidden_size, options));
  add_layers({.owner = *this,
              .make =
                  [c = config_](int64_t index, int64_t like, at::TensorOptions tensors) {
                    return std::make_shared<BlockImpl>(c, index, like, tensors);
                  }},
             config_.num_hidden_layers, options);
  set_padding_row(read_any_padding(ConfigReader(config, "config.json"), std::nullopt));
  norm_ = register_module("norm", RmsNorm(config_.hidden_size, config_.rms_norm_eps, options));
}

at::Tensor LlamaModelImpl::before_blocks(const at::Tensor& embeds, const LanguageModelInput&) {
  return embeds;
}

DecoderContext LlamaModelImpl::make_context(const LanguageModelInput& input,
                                            const at::Tensor& embeds) const {
  DecoderContext context{.angles = rotary_.angles(token_positions(input, embeds)),
                         .cache = input.cache};
  auto mask = attention_mask_input(input, embeds);
  const auto& windows = config_.windows;
  const auto window = *std::max_element(windows.begin(), windows.end());
  if (std::find(windows.begin(), windows.end(), 0) != windows.end()) {
    context.full = make_attention_mask(mask);
  }
  if (window > 0) {
    mask.window = window;
    context.sliding = make_attention_mask(mask);
  }
  return context;
}

ModelShape LlamaModelImpl::shape() const {
  return {.layers = layer_count(),
          .heads = config_.num_attention_heads,
          .kv_heads = config_.num_key_value_heads,
          .head_dim = config_.head_dim,
          .hidden = config_.hidden_size,
          .vocab = config_.vocab_size};
}

PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options) {
  const ConfigReader reader(config, "config.json");
  // A body below a head for question answering has its old name, except in Mistral.
  const bool old = task == ModelTask::kQuestionAnswering && reader.text("model_type") != "mistral";
  const auto body =
      std::make_shared<LlamaModelImpl>(config, old ? "transformer" : "model", options);
  if (task == ModelTask::kCausalLM) {
    const bool tied = reader.flag("tie_word_embeddings", false);
    return std::make_shared<LlamaForCausalLMImpl>(body, tied, options);
  }
  return make_decoder_model(body, task,
                            {.token_bias = reader.flag("token_classification_bias", true),
                             .token_dropout = read_token_dropout(reader)},
                            options);
}

}  // namespace peft::llama
