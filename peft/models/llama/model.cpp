#include "peft/models/llama/model.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/models/common/checkpointing.h"
#include "peft/models/common/growing_cache.h"
#include "peft/models/common/project.h"
#include "peft/models/common/stack_layers.h"

namespace peft::llama {

BodyImpl::BodyImpl(const LlamaConfig& config, at::TensorOptions options)
    : embed_tokens(nullptr), norm(nullptr) {
  embed_tokens = register_module("embed_tokens",
                                 make_embedding(config.vocab_size, config.hidden_size, options));
  layers = register_module("layers", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers->push_back(Block(config, i, options));
  }
  norm = register_module("norm", RmsNorm(config.hidden_size, config.rms_norm_eps, options));
}

LlamaForCausalLMImpl::LlamaForCausalLMImpl(const Json& config, at::TensorOptions options)
    : json_(config),
      config_(LlamaConfig::from_json(config)),
      rotary_(config_.rope, config_.head_dim) {
  model = register_module("model", Body(config_, options));
  for (const auto& layer : *model->layers) {
    blocks_.emplace_back(std::dynamic_pointer_cast<BlockImpl>(layer));
  }
  if (!config_.tie_word_embeddings) {
    lm_head = register_module("lm_head",
                              make_linear(config_.hidden_size, config_.vocab_size, false, options));
  }
}

BlockContext LlamaForCausalLMImpl::make_context(const LanguageModelInput& input,
                                                const at::Tensor& embedded) const {
  const auto past = input.cache == nullptr ? 0 : input.cache->length();
  const auto tokens = embedded.size(1);
  AttentionMaskInput mask{.batch = embedded.size(0),
                          .queries = tokens,
                          .past = past,
                          .padding = input.attention_mask,
                          .position_ids = input.position_ids,
                          .options = embedded.options().requires_grad(false)};
  if (input.cache != nullptr) mask.position_ids.reset();
  BlockContext context;
  context.cache = input.cache;
  context.angles =
      rotary_.angles(input.position_ids.defined()
                         ? input.position_ids
                         : at::arange(past, past + tokens, embedded.device()).unsqueeze(0));
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

at::Tensor LlamaForCausalLMImpl::hidden_states(const LanguageModelInput& given) {
  if (given.input_ids.defined() == given.inputs_embeds.defined()) {
    throw ConfigError(
        "language model: input_ids and inputs_embeds: expected exactly one of them, got " +
        std::string(given.input_ids.defined() ? "both." : "none."));
  }
  const LanguageModelInput input = given.to(model->embed_tokens->weight.device());
  auto x = input.input_ids.defined() ? embed(input.input_ids) : input.inputs_embeds;
  const auto context = make_context(input, x);
  const bool recompute = checkpointing_ && input.cache == nullptr && is_training();
  for (auto& block : blocks_) {
    if (recompute) {
      x = checkpoint(
          [block, context](const at::Tensor& y) mutable { return block->forward(y, context); }, x);
    } else {
      x = block->forward(x, context);
    }
  }
  return model->norm->forward(x);
}

at::Tensor LlamaForCausalLMImpl::head(const at::Tensor& hidden) {
  return peft::project(hidden, head_weight());
}

at::Tensor LlamaForCausalLMImpl::head_weight() const {
  return lm_head ? lm_head->weight : model->embed_tokens->weight;
}

void LlamaForCausalLMImpl::untie_head(const at::Tensor& weight) {
  give_own_head(*this, lm_head, weight);
  config_.tie_word_embeddings = false;
  json_["tie_word_embeddings"] = false;
}

at::Tensor LlamaForCausalLMImpl::embed(const at::Tensor& ids) {
  return at::embedding(model->embed_tokens->weight, ids);
}

void LlamaForCausalLMImpl::use(const Stack& stack) {
  model->layers = stack.layers;
  model->replace_module("layers", stack.layers.ptr());
  blocks_ = stack.blocks;
  config_ = stack.config;
  json_ = stack.json;
}

std::function<void()> LlamaForCausalLMImpl::replicate_layers(const LayerRanges& ranges) {
  const auto order = stacked_order(ranges, config_.num_hidden_layers);
  const Stack former{model->layers, blocks_, config_, json_};
  Stack next{torch::nn::ModuleList(), {}, config_, json_};
  next.config.num_hidden_layers = static_cast<int64_t>(order.size());
  next.json["num_hidden_layers"] = order.size();
  next.config.windows.clear();
  for (const int64_t from : order) {
    next.config.windows.push_back(config_.windows[static_cast<size_t>(from)]);
  }
  if (const auto types = json_.find("layer_types"); types != json_.end() && types->is_array()) {
    next.json["layer_types"] = Json::array();
    for (const int64_t from : order) {
      next.json["layer_types"].push_back(types->at(static_cast<size_t>(from)));
    }
  }
  for (size_t i = 0; i < order.size(); ++i) {
    const Block& from = blocks_[static_cast<size_t>(order[i])];
    Block block(next.config, static_cast<int64_t>(i), from->self_attn->q_proj->weight.options());
    share_parameters(from.ptr(), block.ptr());
    block->train(from->is_training());
    next.layers->push_back(block);
    next.blocks.push_back(block);
  }
  next.layers->train(model->layers->is_training());
  use(next);
  return [this, former] { use(former); };
}

std::unique_ptr<KeyValueCache> LlamaForCausalLMImpl::new_cache() const {
  return std::make_unique<GrowingCache>(config_.num_hidden_layers);
}

ModelShape LlamaForCausalLMImpl::shape() const {
  return {.layers = config_.num_hidden_layers,
          .heads = config_.num_attention_heads,
          .kv_heads = config_.num_key_value_heads,
          .head_dim = config_.head_dim,
          .hidden = config_.hidden_size,
          .vocab = config_.vocab_size};
}

PretrainedModel make_model(const Json& config, ModelTask task, at::TensorOptions options) {
  if (task != ModelTask::kCausalLM) return nullptr;
  return std::make_shared<LlamaForCausalLMImpl>(config, options);
}

}  // namespace peft::llama
