#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <variant>

#include "peft/adapter/tuner.h"
#include "peft/models/common/encoder_model.h"
#include "peft/models/common/language_model.h"

namespace peft {

/// What is put before the tokens of a batch. Legend: B rows, N virtual tokens, D the model's width,
/// K key/value heads, H their width. Embeddings [B, N, D], or a cache that holds keys and values
/// [B, K, N, H] of every layer.
using Prompt = std::variant<at::Tensor, std::shared_ptr<KeyValueCache>>;

/// The prompt of the active adapter.
///   task_ids [B] int64: of each row, for methods that tell tasks apart
///   max_cache_len: the cache is a static one for that many tokens
/// Throws: ConfigError (wrong task_ids, a cache that is too short), UnsupportedError where no
/// adapter is a prompt, NotFoundError where none is active.
/// Source: PeftModel.get_prompt in peft/peft_model.py.
Prompt get_prompt(const Tuner& tuner, int64_t batch_size, const at::Tensor& task_ids = {},
                  std::optional<int64_t> max_cache_len = std::nullopt);

/// What a call of a language model becomes with a prompt before its tokens.
struct PreparedInputs {
  at::Tensor input_ids = {};                  // [B, T]; this or inputs_embeds
  at::Tensor inputs_embeds = {};              // [B, N + T, D]
  at::Tensor attention_mask = {};             // [B, N + S + T]; undefined: no padding
  at::Tensor position_ids = {};               // [B, T]; undefined: counted from the cache's length
  std::shared_ptr<KeyValueCache> cache = {};  // the caller's own, or one with the prompt in it
  at::Tensor task_ids = {};                   // [B], as given

  /// As the model takes it; valid while this lives.
  LanguageModelInput input() const;
};

/// Puts the active adapter's prompt before the tokens of the first call with a cache, and makes
/// room for it in the mask and the positions of every call. An empty cache of the caller gets the
/// prompt's keys and values. Embeddings before the tokens leave no place for positions of the
/// caller's own: those are dropped, as in Python.
/// Throws: what get_prompt throws.
PreparedInputs put_prompt(const Tuner& tuner, const LanguageModelInput& input,
                          const at::Tensor& task_ids = {});

/// What a call of a model that reads whole sequences becomes with a prompt before its tokens.
struct PreparedEncoderInputs {
  EncoderInput input = {};                    // its cache is the one below
  std::shared_ptr<KeyValueCache> cache = {};  // holds the prompt's keys and values; null: none
};

/// The same for a model that reads whole sequences. The prompt's tokens are of type 0.
/// Throws: what get_prompt throws.
PreparedEncoderInputs put_prompt(const Tuner& tuner, const EncoderInput& input,
                                 const at::Tensor& task_ids = {});

/// A mask with ones for `tokens` virtual tokens before it; undefined stays so.  mask [B, T]
at::Tensor with_prompt_seen(const at::Tensor& mask, int64_t tokens);

/// The number of virtual tokens of the active adapter; 0: it has none, or prompts are off.
int64_t active_virtual_tokens(const Tuner& tuner);

/// The base model of a tuner's tree.  Throws: UnsupportedError where prompts do not fit it.
PretrainedModelImpl& pretrained_model_of(const Tuner& tuner);

/// The same for a language model.  Throws: UnsupportedError where it is none.
LanguageModelImpl& language_model_of(const Tuner& tuner);

}  // namespace peft
