#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "peft/chat_tokenizer.h"
#include "peft/peft_model_for_causal_lm.h"

namespace peft {

/// How a prefix in the cache, of prefix tuning or a cartridge, gets the values of tokens that a
/// model has read.
struct KvPrefixOptions {
  std::optional<std::string> adapter_name = {};    // unset: the active one
  std::optional<int64_t> num_virtual_tokens = {};  // unset: the adapter's
};

struct KvPrefixTextOptions {
  KvPrefixOptions prefix = {};
  bool use_chat_template = true;  // the text is a system message where the tokenizer has a template
  std::optional<int64_t> max_length = {};  // in tokens; unset: all are read
};

/// Keys and values of the first tokens, as a prefix holds them. Legend: N virtual tokens, L layers,
/// K key/value heads, H their width.
///   cache of one row -> [N, L * 2 * K * H]
/// Throws: ConfigError where the cache is empty, has several rows, fewer tokens or unequal layers.
/// Source: prompt_embeddings_from_past_key_values in peft/tuners/cartridge/utils.py.
at::Tensor prompt_embeddings_from_past_key_values(const KeyValueCache& past_key_values,
                                                  int64_t num_virtual_tokens);

/// Fills a prefix with the first tokens of a cache, and returns what it was filled with.
/// Throws: ConfigError (another method, a cache that does not do), UnsupportedError (a prefix that
/// a network makes), MismatchError (another number of tokens than the prefix has).
/// Source: initialize_kv_prefix_from_past_key_values in peft/tuners/cartridge/utils.py.
at::Tensor initialize_kv_prefix_from_past_key_values(PeftModelForCausalLM& model,
                                                     const KeyValueCache& past_key_values,
                                                     const KvPrefixOptions& options = {});

/// The same with what the base model makes of a text.
/// Source: initialize_kv_prefix_from_text in peft/tuners/cartridge/utils.py.
at::Tensor initialize_kv_prefix_from_text(PeftModelForCausalLM& model,
                                          const ChatTokenizer& tokenizer, const std::string& text,
                                          const KvPrefixTextOptions& options = {});

/// Writes one cartridge that is others, one behind the other. The first one's frozen tokens stay
/// frozen.
/// Throws: ConfigError for fewer than two adapters, ones of another method, or ones that do not fit
/// together; what reading and writing adapters throws.
/// Source: compose_cartridge_adapters in peft/tuners/cartridge/utils.py.
void compose_cartridge_adapters(const std::vector<std::filesystem::path>& adapters,
                                const std::filesystem::path& output,
                                bool safe_serialization = true);

}  // namespace peft
