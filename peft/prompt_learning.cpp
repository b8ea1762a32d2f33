#include "peft/prompt_learning.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base_model.h"

namespace peft {
namespace {

BasePromptEncoder& active_encoder(const Tuner& tuner) {
  if (!tuner.is_prompt_learning()) {
    throw UnsupportedError("get_prompt: expected adapters of a prompt learning method, got " +
                           std::string(tuner.method().name) + ", which adapts weights.");
  }
  if (tuner.active_adapters().empty()) {
    throw NotFoundError(
        "get_prompt: expected an active adapter, got none. Add one and call set_adapter.");
  }
  return *tuner.prompts().find(tuner.active_adapters().front());
}

const SharedFields active_fields(const Tuner& tuner) {
  return tuner.config(tuner.active_adapters().front()).shared();
}

// Keys and values for the cache, one layer after the other.  prompt [1, N, 2 * L * K * H]
void fill(KeyValueCache& cache, const at::Tensor& prompt, const SharedFields& fields,
          int64_t batch) {
  const int64_t layers = **fields.num_layers, heads = **fields.num_attention_heads;
  const int64_t width = **fields.token_dim / heads;
  const at::Tensor parts = prompt.view({1, prompt.size(1), 2 * layers, heads, width})
                               .expand({batch, -1, -1, -1, -1})
                               .permute({2, 0, 3, 1, 4});  // [2 * L, B, K, N, H]
  // For an encoder-decoder Python takes the prompt twice, one behind the other, and gives each
  // layer four parts of it, the last two of which, those of the source, it drops.
  const int64_t step = 2 * fields.num_transformer_submodules->value_or(1);
  // An encoder may have more layers than the decoder, whose prefix then has some that nobody reads.
  for (int64_t layer = 0; layer < std::min(layers, cache.layers()); ++layer) {
    const int64_t first = step * layer % (2 * layers);
    cache.append(layer, parts[first], parts[first + 1]);
  }
}

void fill(KeyValueCache& cache, const Tuner& tuner, int64_t batch, const at::Tensor& task_ids) {
  PretrainedModelImpl& model = pretrained_model_of(tuner);
  const at::Tensor like = embed_there(model, at::zeros({1, 1}, at::kLong));
  const at::Tensor prompt = active_encoder(tuner).forward(task_ids);
  fill(cache, prompt.to(like.device(), like.scalar_type()), active_fields(tuner), batch);
}

std::shared_ptr<KeyValueCache> borrowed(KeyValueCache* cache) {
  return {std::shared_ptr<void>(), cache};
}

void put_into_cache(const Tuner& tuner, PreparedInputs& prepared, int64_t batch) {
  if (prepared.cache && prepared.cache->length() > 0) return;
  if (!prepared.cache) prepared.cache = pretrained_model_of(tuner).new_cache();
  fill(*prepared.cache, tuner, batch, prepared.task_ids);
}

// Embeddings of the prompt and of the tokens.  -> [B, N + T, D]
at::Tensor embeddings_with_prompt(const Tuner& tuner, const at::Tensor& ids,
                                  const at::Tensor& embeddings, const at::Tensor& task_ids) {
  const at::Tensor tokens =
      embeddings.defined() ? embeddings : embed_there(pretrained_model_of(tuner), ids);
  const auto prompt = std::get<at::Tensor>(get_prompt(tuner, tokens.size(0), task_ids));
  return at::cat({prompt.to(tokens.device(), tokens.scalar_type()), tokens}, 1);
}

void put_before_embeddings(const Tuner& tuner, PreparedInputs& prepared) {
  if (prepared.cache && prepared.cache->length() > 0) return;
  prepared.inputs_embeds =
      embeddings_with_prompt(tuner, prepared.input_ids, prepared.inputs_embeds, prepared.task_ids);
  prepared.input_ids.reset();
}

}  // namespace

at::Tensor with_prompt_seen(const at::Tensor& mask, int64_t tokens) {
  if (!mask.defined()) return {};
  return at::cat({at::ones({mask.size(0), tokens}, mask.options()), mask}, 1);
}

PretrainedModelImpl& pretrained_model_of(const Tuner& tuner) {
  if (auto* model = dynamic_cast<PretrainedModelImpl*>(tuner.tree().native_root().get())) {
    return *model;
  }
  throw UnsupportedError(
      "prompt learning: expected a peft::PretrainedModel, got a module of type " +
      tuner.tree().class_name() +
      ", which has no embed(). Let it implement peft::LanguageModelImpl.");
}

LanguageModelImpl& language_model_of(const Tuner& tuner) {
  if (auto* model = dynamic_cast<LanguageModelImpl*>(tuner.tree().native_root().get())) {
    return *model;
  }
  throw UnsupportedError("prompt learning: expected a peft::LanguageModel, got a module of type " +
                         tuner.tree().class_name() +
                         ", which has no embed(). Let it implement peft::LanguageModelImpl.");
}

LanguageModelInput PreparedInputs::input() const {
  return {.input_ids = input_ids,
          .inputs_embeds = inputs_embeds,
          .attention_mask = attention_mask,
          .position_ids = position_ids,
          .cache = cache.get()};
}

Prompt get_prompt(const Tuner& tuner, int64_t batch_size, const at::Tensor& task_ids,
                  std::optional<int64_t> max_cache_len) {
  BasePromptEncoder& encoder = active_encoder(tuner);
  if (batch_size < 1) {
    throw ConfigError("get_prompt: batch_size: expected at least 1, got " +
                      std::to_string(batch_size) + ".");
  }
  if (tuner.method().prompt_is_cache) {
    PretrainedModelImpl& model = pretrained_model_of(tuner);
    std::shared_ptr<KeyValueCache> cache =
        max_cache_len ? model.new_static_cache(*max_cache_len) : model.new_cache();
    fill(*cache, tuner, batch_size, task_ids);
    return cache;
  }
  const at::Tensor prompt = encoder.forward(task_ids);
  if (prompt.size(0) != 1 && prompt.size(0) != batch_size) {
    throw ConfigError("task_ids: expected one for each of " + std::to_string(batch_size) +
                      " rows, got " + std::to_string(prompt.size(0)) + ".");
  }
  return prompt.expand({batch_size, -1, -1});
}

PreparedInputs put_prompt(const Tuner& tuner, const LanguageModelInput& input,
                          const at::Tensor& task_ids) {
  PreparedInputs prepared{.input_ids = input.input_ids,
                          .inputs_embeds = input.inputs_embeds,
                          .attention_mask = input.attention_mask,
                          .position_ids = input.position_ids,
                          .cache = input.cache ? borrowed(input.cache) : nullptr,
                          .task_ids = task_ids};
  const int64_t tokens = active_virtual_tokens(tuner);
  if (tokens == 0) return prepared;
  prepared.attention_mask = with_prompt_seen(input.attention_mask, tokens);
  const at::Tensor& given = input.input_ids.defined() ? input.input_ids : input.inputs_embeds;
  if (!given.defined()) return prepared;  // for the model to tell
  if (tuner.method().prompt_is_cache) {
    if (input.position_ids.defined()) prepared.position_ids = input.position_ids + tokens;
    put_into_cache(tuner, prepared, given.size(0));
  } else {
    prepared.position_ids.reset();
    put_before_embeddings(tuner, prepared);
  }
  return prepared;
}

PreparedEncoderInputs put_prompt(const Tuner& tuner, const EncoderInput& input,
                                 const at::Tensor& task_ids) {
  PreparedEncoderInputs prepared{.input = input};
  const int64_t tokens = active_virtual_tokens(tuner);
  const at::Tensor& given = input.input_ids.defined() ? input.input_ids : input.inputs_embeds;
  if (tokens == 0 || !given.defined()) return prepared;
  EncoderInput& next = prepared.input;
  next.attention_mask = with_prompt_seen(input.attention_mask, tokens);
  if (tuner.method().prompt_is_cache) {
    if (input.position_ids.defined()) next.position_ids = input.position_ids + tokens;
    prepared.cache = pretrained_model_of(tuner).new_cache();
    fill(*prepared.cache, tuner, given.size(0), task_ids);
    next.cache = prepared.cache.get();
    return prepared;
  }
  next.position_ids.reset();
  if (const at::Tensor& types = input.token_type_ids; types.defined()) {
    next.token_type_ids = at::cat({at::zeros({types.size(0), tokens}, types.options()), types}, 1);
  }
  next.inputs_embeds =
      embeddings_with_prompt(tuner, input.input_ids, input.inputs_embeds, task_ids);
  next.input_ids.reset();
  return prepared;
}

int64_t active_virtual_tokens(const Tuner& tuner) {
  return tuner.active_prompt() == nullptr ? 0 : **active_fields(tuner).num_virtual_tokens;
}

}  // namespace peft
